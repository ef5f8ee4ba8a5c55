"""Rows of filtered chunks: decoded once and cached."""
