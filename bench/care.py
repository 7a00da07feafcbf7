"""The CareRelay worker, run as `carerelay worker` runs it, on the Kafka that the environment variables name."""

import os

from agents.app import AGENTS
from streams.base.settings import read_settings
from streams.ops.worker_app import run_worker

if __name__ == "__main__":
    settings = read_settings(os.environ)
    care = AGENTS.rows[0]
    run_worker(settings, settings.group, care.state_topic, care.load(settings))
