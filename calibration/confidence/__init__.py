"""How sure an answer is: fit a bundle's confidence on questions, and say how far it can be believed."""
