"""Layers that let go of tokens, in a graph that exists."""
