"""What all files hold, as plain values: schemas, annotations, where chunks lie, file stamps."""
