"""Architectures with no module of their own, through the torch extra."""
