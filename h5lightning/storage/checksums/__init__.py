"""Checksums of whole files: made, stored, verified."""
