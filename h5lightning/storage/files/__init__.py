"""Open files of one process: handles, budgets, and whether a file is still the one that was scanned."""
