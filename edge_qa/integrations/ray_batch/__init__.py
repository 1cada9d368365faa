"""Many questions on the machines of a Ray cluster, with output in parts that can be resumed (the extra `ray`)."""
