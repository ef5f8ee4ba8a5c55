"""Small tools that know nothing of HDF5 or torch: arrays, strings, locks, text."""
