"""The files of a checkpoint: reading every kind, writing one."""
