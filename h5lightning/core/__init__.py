"""Small tools without HDF5 or torch: arrays, strings, locks, text."""
