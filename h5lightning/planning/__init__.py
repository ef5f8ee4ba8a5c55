"""What a batch is made of and in which order it comes. Pure NumPy: opens no file and imports no torch."""
