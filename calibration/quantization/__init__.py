"""INT8: recipes, the gate, what each product loses."""
