"""How events move: topics, doors, codecs, shards, one transaction. Knows no rule of care."""
