"""HL7 v2: framing, lexer, mapping."""
