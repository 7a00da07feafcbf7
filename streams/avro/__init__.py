"""Reads and writes Avro records strictly, and gets their schemas from the schema registry."""
