"""Data set -> model inputs: samples, windows with an answer, and what flows between the layers."""
