"""The product's own worker, as `carerelay worker` runs it, on the Kafka of its environment."""

import os

from agents.app import logic_of, run_worker
from streams.base.settings import read_settings

if __name__ == "__main__":
    settings = read_settings(os.environ)
    run_worker(settings, *logic_of(settings, "coordination"))
