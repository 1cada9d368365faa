"""Files -> text with blocks: one module a format, imported when a file of that format is read."""
