"""Synthetic events: a reproducible stream, from a model that gives a source for each of its rates."""
