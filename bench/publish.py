"""Publish events at a steady rate, in a separate process, so that the measurement does not delay the publisher.

The argument is the name of a pickle file with rows, or a JSON list with the names of the mechanics' topics.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from pathlib import Path

from bench.kafka import Bench, mechanics_rows
from bench.work import Names


def main() -> None:
    if sys.argv[1].startswith("["):
        bootstrap, names, count, rate, begin = json.loads(sys.argv[1])
        rows = mechanics_rows(Names(*names), count, begin=begin, rate=rate)
    else:
        bootstrap, rows, rate, begin = pickle.loads(Path(sys.argv[1]).read_bytes())
    asyncio.run(Bench(bootstrap).publish_at(rate, iter(rows), begin))


if __name__ == "__main__":
    main()
