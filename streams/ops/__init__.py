"""Operating a worker: probes, metrics of its loop, failing senders."""
