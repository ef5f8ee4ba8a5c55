"""The index on disk: written, read back, brought up to date."""
