"""What to do about events. Imports streams, never the other way round."""
