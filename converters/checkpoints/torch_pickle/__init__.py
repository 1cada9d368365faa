"""pytorch_model.bin read with numpy alone, executing nothing."""
