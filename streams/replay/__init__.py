"""The replay and the backtest: past events are decided again, in memory."""
