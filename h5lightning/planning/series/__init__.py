"""What a series is: the makers of the series of an index."""
