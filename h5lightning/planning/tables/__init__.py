"""The lines of a table beside the files: what files, series and rows they speak of, and the values of its columns."""
