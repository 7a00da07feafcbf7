"""The doors: HL7 v2 and JSON lines in, events out."""
