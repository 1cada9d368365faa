"""Commands for questions over a folder of documents."""
