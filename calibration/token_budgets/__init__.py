"""The budget search: measure budgets, keep the front, write them into a bundle."""
