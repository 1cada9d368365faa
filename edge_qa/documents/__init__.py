"""Questions over a folder of documents: one SQLite file that is searched, read from, and cited."""
