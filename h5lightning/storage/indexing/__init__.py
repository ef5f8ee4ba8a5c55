"""The index on disk: what a scan found, so that only new and changed files are opened."""
