"""Bytes of variable length, which lie in global heaps: read without HDF5, which a damaged heap could block."""
