"""The float32 numpy reference of an Encoder, and the proof that a model file computes it."""
