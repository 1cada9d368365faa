"""Token dropping: measuring and searching its budgets."""
