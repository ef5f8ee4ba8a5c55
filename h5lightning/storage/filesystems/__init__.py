"""The file systems that files lie on."""
