"""Reads HL7 v2 messages and JSON lines, converts them to events and publishes these to Kafka."""
