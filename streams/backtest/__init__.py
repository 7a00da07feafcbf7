"""Trying a changed catalogue on what has happened: history under two catalogues, and what would have been different."""
