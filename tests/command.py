"""The command line as the tests call it: in this process, or as a process of its own if the process itself is tested.

The only file of the tests that knows the entry point.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from agents.app import main

COMMAND = (sys.executable, "-m", "agents")
"""Start of the argument list of a command-line process, for tests of workers, signals, pipes and hash seeds."""


class Done(NamedTuple):
    """The result of a command."""

    code: int
    stdout: str
    stderr: str


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment without the project's own settings, and with *more*."""
    ours = ("CARERELAY_", "KAFKA_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more


def run_command(*arguments: str, cwd: Path | None = None, **environ: str) -> Done:
    """Run `carerelay` with *arguments* in this process, in folder *cwd*, with `clean_environment(**environ)`.

    Raises every exception that `main` does not convert to an exit code. A process would have ended with a traceback.
    """
    given = clean_environment(**environ)
    aiokafka = logging.getLogger("aiokafka")
    level = aiokafka.level
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(given):
            patch.delenv(name)
        for name, value in given.items():
            patch.setenv(name, value)
        if cwd is not None:
            patch.chdir(cwd)
        patch.setattr(sys, "argv", ["carerelay", *arguments])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        # Keep the signal handlers of the test run.
        patch.setattr(signal, "signal", lambda *_: None)
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            # Commands make this logger quiet, which would outlast the command in this process.
            aiokafka.setLevel(level)
    return Done(code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())


async def run_command_in_thread(*arguments: str, **environ: str) -> Done:
    """Run `run_command` in a thread, for a test with an event loop: the command starts its own loop."""
    return await asyncio.to_thread(run_command, *arguments, **environ)
