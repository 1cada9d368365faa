"""What the service does under load, hostile clients, lost workers and swaps."""
