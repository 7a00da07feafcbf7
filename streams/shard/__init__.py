"""The shard: one owner, one order of records, one clock. No I/O."""
