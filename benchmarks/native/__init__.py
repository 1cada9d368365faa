"""The native engine, measured: `python -m benchmarks.native WHAT`."""
