"""Reads HL7 v2 messages: finds them in a file, splits them into segments and fields, and maps them to events."""
