"""How events change what is known about a person."""
