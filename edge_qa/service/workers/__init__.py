"""Processes that answer: what they are told, how they run it, and who looks after them."""
