"""The native engine: packed models, run by the kernels of the package edge-qa-kernels."""
