"""The values of rows that a scan reads: which ones occur, and which one each row has."""
