"""Reading through h5py."""
