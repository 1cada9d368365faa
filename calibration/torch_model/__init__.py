"""The torch model of an Encoder, for what needs gradients."""
