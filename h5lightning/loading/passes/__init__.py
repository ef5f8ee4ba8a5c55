"""Reads all rows of a part of the data once, block by block, in several threads."""
