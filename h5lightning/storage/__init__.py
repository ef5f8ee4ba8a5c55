"""Everything that opens files: discovery, scanning, indexing and reading."""
