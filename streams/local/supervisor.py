"""Run one command, and end it when the process that asked for it is gone.

Owns a child's life and nothing else; started as a script by `streams/local/child.py`, with the standard library
alone. Its standard input is a pipe whose other end only the asking process holds: however that process ends, kill -9
included, the pipe ends, and the child gets SIGTERM, then SIGKILL. Nothing that is started for a demonstration or a
test outlives it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys


def main() -> int:
    """Take the grace in seconds and the command; print the child's pid; return its exit code."""
    grace_seconds, command = float(sys.argv[1]), sys.argv[2:]
    # Signals of the terminal are for the asking process, which then ends the pipe.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ended, on_end = os.pipe()
    signal.signal(signal.SIGCHLD, lambda *_: os.write(on_end, b"."))
    # Its own session, so that Ctrl-C reaches it through us alone; ignored signals would be inherited, so they are reset.
    child = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
        preexec_fn=_default_signals,  # noqa: PLW1509
    )
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    while child.poll() is None:
        ready, _, _ = select.select([sys.stdin, ended], [], [])
        if ended in ready:
            os.read(ended, 64)
        elif not os.read(sys.stdin.fileno(), 64):
            _end(child, grace_seconds)
    return child.returncode


def _default_signals() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _end(child: subprocess.Popen[bytes], grace_seconds: float) -> None:
    # A stopped process (SIGSTOP) would take SIGTERM only after SIGCONT.
    for number in (signal.SIGCONT, signal.SIGTERM):
        child.send_signal(number)
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main())
