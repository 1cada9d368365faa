"""Every way to answer a question on this CPU, side by side: the benchmark behind `make benchmark`."""
