"""The agents: what to do when an event arrives. This package imports `streams`; `streams` never imports it."""
