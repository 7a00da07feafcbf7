"""Publish the mechanics' events at a steady rate, as a process of its own: the program that is timed shares no loop with it."""

from __future__ import annotations

import asyncio
import json
import sys

from bench.kafka import Bench, mechanics_rows
from bench.work import Names


def main() -> None:
    bootstrap, names, count, rate, begin = json.loads(sys.argv[1])
    names = Names(*names)
    rows = mechanics_rows(names, count, begin=begin, rate=rate)
    asyncio.run(Bench(bootstrap).publish_at(rate, rows, begin))


if __name__ == "__main__":
    main()
