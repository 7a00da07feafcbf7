"""Output for readers in a terminal: lines, sentences, the board, the weekly report."""
