"""Random files, configurations and loops, held against what h5py and NumPy say of the same files."""
