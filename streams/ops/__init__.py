"""The process of a worker: its health and readiness, its metrics, and the alert about senders whose records are refused."""
