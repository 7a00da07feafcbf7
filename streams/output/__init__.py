"""Output for readers in a terminal: lines, sentences and the weekly report."""
