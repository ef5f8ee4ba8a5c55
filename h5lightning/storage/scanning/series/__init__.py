"""Find what divides the rows of a dataset into series, such as episodes."""
