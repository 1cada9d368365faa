"""Checkpoint -> trained checkpoint: what `edge-qa train` needs gradients for. Needs the torch extra."""
