"""The product's own worker, as `carerelay worker` runs it, on the Kafka of its environment."""

import os

from streams.app import run_worker
from streams.settings import read_settings

if __name__ == "__main__":
    run_worker(read_settings(os.environ))
