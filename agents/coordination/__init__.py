"""Care coordination: the state of a person, the handoff rules, and what follows from an event."""
