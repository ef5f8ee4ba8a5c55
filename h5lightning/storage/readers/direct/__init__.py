"""Reading past HDF5: from the bytes of the file to the rows of a batch."""
