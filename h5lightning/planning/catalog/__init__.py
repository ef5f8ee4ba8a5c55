"""The contents of all files as plain values: schemas, annotations, positions of chunks, file stamps."""
