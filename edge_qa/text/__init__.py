"""Text -> tokens and windows, and back to offsets into the text."""
