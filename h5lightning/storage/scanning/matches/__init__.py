"""Find what the ``*`` in the paths of a request matches in a file, and describe each match."""
