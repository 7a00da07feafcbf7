"""Other implementations of the mechanics, each written as its users would write it."""
