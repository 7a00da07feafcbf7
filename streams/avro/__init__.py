"""Strict reading and writing of Avro records, and the client of the schema registry."""
