"""Other frameworks: a Haystack component, Ray Data. Each module needs the extra of its name."""
