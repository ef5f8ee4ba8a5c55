"""Opening HDF5 files and datasets, and describing them: no other folder opens them."""
