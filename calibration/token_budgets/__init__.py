"""The search for token budgets: measure configurations, keep the front, write them into a bundle."""
