"""Raw training checkpoints of movement pruning and nn_pruning."""
