"""Existing IR and ONNX files -> bundles."""
