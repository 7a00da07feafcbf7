"""How events move: from messages to Kafka topics, through shards, to effects that one transaction publishes. Knows no care rules."""
