"""The life of a handoff: opening, owners, steps, responses, closing, merging; and who is notified."""
