"""The handoff rules: their fields, loading, checks and explanations."""
