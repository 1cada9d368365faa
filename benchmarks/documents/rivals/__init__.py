"""Programs of other environments: each answers the same job, which it reads from a file, and prints what it took."""
