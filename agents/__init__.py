"""The agents decide about events. This package imports `streams`; `streams` never imports it."""
