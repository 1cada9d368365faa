"""The Encoder: one family-neutral value of plain numpy arrays, and functions over it."""
