"""Watching the feeds: a source that is silent for longer than it ever is at that hour of the week (FEED-1)."""
