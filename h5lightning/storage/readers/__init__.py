"""Readers: rows of a dataset into the caller's buffer, behind one Protocol."""
