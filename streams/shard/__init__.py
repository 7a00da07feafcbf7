"""The shard: one owner, one order, one clock. No I/O."""
