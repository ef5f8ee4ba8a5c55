"""Which datasets of a file divide the rows of others into series, such as episodes."""
