"""The local Kafka for development and tests: download, start, stop, and simulated failures."""

from streams.local.jars import LocalKafkaError
from streams.local.kafka import LocalKafka

__all__ = ["LocalKafka", "LocalKafkaError"]
