"""The feeds agent: detects a source that is silent for longer than is usual at that hour of the week (FEED-1)."""
