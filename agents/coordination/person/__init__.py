"""What the state of a person contains: its data types, the legal status changes, the packed form, and how long each part is kept."""
