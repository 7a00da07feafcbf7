"""Publish events at a steady rate, as a process of its own: the program that is timed shares no loop with it.

Takes a file of rows, or the names of the mechanics' topics.
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
