"""What every process needs: settings, logs, metrics, the clock and YAML files."""
