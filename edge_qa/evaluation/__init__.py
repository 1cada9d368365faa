"""Data sets, the official SQuAD metric, and evaluation of bundles."""
