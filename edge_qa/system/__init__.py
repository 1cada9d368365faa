"""The machine: CPU, control groups, memory, and a probe of its matrix products."""
