"""Damages small HDF5 files in every way, and sees what the readers make of them."""
