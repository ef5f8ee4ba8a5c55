"""How all rows of a part of the data are read once: in which pieces, and as which fields."""
