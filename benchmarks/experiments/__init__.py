"""Single questions about speed and accuracy, each answered by one script."""
