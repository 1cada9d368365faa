"""OpenVINO graphs as they are stored: weights, names, counts."""
