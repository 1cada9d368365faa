"""The commands of this package: thin faces of its public functions."""
