"""Which rows are train, val and test, and how that is kept."""
