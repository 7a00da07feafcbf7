"""What operators watch: probes, failing senders."""
