"""Bytes and the registry: Avro records to events and back, strictly."""
