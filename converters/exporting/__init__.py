"""A bundle in the layout that another server or program reads."""
