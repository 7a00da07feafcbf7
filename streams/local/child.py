"""A child process that never outlives its parent.

Owns the start and the end of a command under the supervisor. Does not know what the command does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_SUPERVISOR = Path(__file__).with_name("supervisor.py")


class Child:
    """A running command. Its output goes to *output*. `stop` waits *grace_seconds* between SIGTERM and SIGKILL."""

    def __init__(
        self, command: Sequence[str], output: IO[bytes] | int | None = None, env: Mapping[str, str] | None = None, grace_seconds: float = 10
    ) -> None:
        self._grace_seconds = grace_seconds
        # The supervisor writes the pid to its stdout, and redirects the command's stdout to its own stderr.
        self._supervisor = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(grace_seconds), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
        assert self._supervisor.stdout is not None  # noqa: S101
        line = self._supervisor.stdout.readline()
        self._supervisor.stdout.close()
        if not line:
            self._supervisor.wait()
            raise OSError(f"{command[0]} could not be started")
        self.pid = int(line)

    @property
    def exit_code(self) -> int | None:
        """The command's exit code, negative for a signal; None while it runs."""
        code = self._supervisor.poll()
        # The operating system keeps the exit code modulo 256: -9 (SIGKILL) arrives as 247.
        return code - 256 if code is not None and code > 256 - 65 else code

    @property
    def alive(self) -> bool:
        return self._supervisor.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command if it runs."""
        if self.alive:
            os.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Wait until the command has ended, at most *seconds*. Return whether it has ended."""
        try:
            self._supervisor.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """End the command: SIGTERM, then SIGKILL after the grace period. Does nothing if it has ended."""
        if self._supervisor.stdin is not None and not self._supervisor.stdin.closed:
            self._supervisor.stdin.close()
        self._supervisor.wait(self._grace_seconds + 10)

    def kill(self) -> None:
        """End the command with SIGKILL, as a crash would."""
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.005)
        self.stop()
