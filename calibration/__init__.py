"""Make bundles and checkpoints smaller and faster, and say what it cost."""
