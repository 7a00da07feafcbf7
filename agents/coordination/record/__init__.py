"""How events become the person's record."""
