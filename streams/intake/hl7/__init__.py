"""Reading of HL7 v2 messages: framing, lexer and mapping to events."""
