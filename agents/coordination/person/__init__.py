"""The state of a person, and how long each part of it is kept."""
