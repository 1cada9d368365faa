"""Statistics of scores: paired bootstrap, score drop, least squares."""
