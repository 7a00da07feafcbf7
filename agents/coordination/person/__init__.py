"""A person's state, and what is kept of it for how long."""
