"""Summaries of numbers that are computed block by block, and merged."""
