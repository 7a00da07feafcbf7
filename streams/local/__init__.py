"""The local Kafka for development and tests: Maven coordinates, start, stop, faults."""

from streams.local.jars import LocalKafkaError
from streams.local.kafka import LocalKafka

__all__ = ["LocalKafka", "LocalKafkaError"]
