"""Removing heads and neurons without training."""
