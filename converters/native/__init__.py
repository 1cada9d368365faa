"""Packing a model for the native engine: 8-bit weights in the order its kernels read them."""
