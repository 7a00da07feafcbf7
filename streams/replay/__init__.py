"""The replay and the backtest: decide about past events again, in memory."""
