"""What to do about events: the care team is told, handoffs get an owner, a clock and an end. Pure but for the adapters."""
