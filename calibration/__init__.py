"""Make bundles and checkpoints smaller and faster, and say what it cost."""

import logging

# NNCF imports torch's builder of CUDA extensions, which misses a GPU wherever it finds nvcc; nothing here uses it.
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
