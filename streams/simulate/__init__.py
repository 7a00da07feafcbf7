"""Made events: a deterministic stream from a model whose every rate is written down with its source."""
