"""Open files of one process: how many it holds, and whether each is still the one that was scanned."""
