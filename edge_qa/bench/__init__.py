"""`edge-qa bench`: how fast bundles start and answer, and what memory they need."""
