"""What files say about their numbers, checked against the options: one module for each convention.

All checks share these arguments: ``catalog``, the contents of the files; ``files``, the files that must agree,
ascending; ``key`` and ``field``, the sample key and the field, which has rows or is constant; ``difference_of``, the
first difference between two files in a dataset, and ``names_in``, the datasets of a file, called only for an error.
"""
