"""What to do about events: who is notified, and which handoffs open, escalate and close. Only `agent.py` knows Kafka records."""
