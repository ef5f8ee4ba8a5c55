"""How fields of a batch are filled, checked and delivered."""
