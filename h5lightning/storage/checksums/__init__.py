"""Checksums of whole files: make, store and verify them."""
