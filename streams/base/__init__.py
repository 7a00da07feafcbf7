"""The surroundings of every process: settings, logs, metrics, YAML files."""
