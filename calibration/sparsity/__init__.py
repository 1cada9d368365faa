"""One-shot pruning: which weights to zero."""
