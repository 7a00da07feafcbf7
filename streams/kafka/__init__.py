"""Kafka and Faust: the worker, its transactions, topics and positions."""
