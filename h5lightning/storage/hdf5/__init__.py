"""The only callers of HDF5 for opening files and asking what a dataset is."""
