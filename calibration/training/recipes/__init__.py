"""The recipes: each changes what is trained, and how, over the one loop."""
