"""How fast batches come, against what one would write by hand, the limits of the machine, and converted copies."""
