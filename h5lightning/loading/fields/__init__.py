"""How fields of a batch are filled: one class for each kind of field; `make_field_reader` chooses it."""
