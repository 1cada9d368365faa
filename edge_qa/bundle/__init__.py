"""The bundle: a folder with a model, a tokenizer and a manifest, read with every byte hashed."""
