"""Questions over many documents: what is found, what is answered, and how long it takes."""
