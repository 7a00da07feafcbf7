"""The handoff rules: their form, loading, checking, and explaining."""
