"""History decided again: the replay and the backtest."""
