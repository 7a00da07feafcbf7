"""Run one command, and end it when the parent process has ended.

`streams/local/child.py` starts this file as a script; it uses only the standard library. Its standard input is a pipe whose
other end only the parent holds. When the parent ends, even by kill -9, the pipe closes, and the command gets SIGTERM, then
SIGKILL. So no process that a demonstration or a test starts outlives it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys


def main() -> int:
    """Run the command of the arguments (grace period in seconds, command); print its pid, and return its exit code."""
    grace_seconds, command = float(sys.argv[1]), sys.argv[2:]
    # Signals of the terminal are for the parent, which then closes the pipe.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ended, on_end = os.pipe()
    signal.signal(signal.SIGCHLD, lambda *_: os.write(on_end, b"."))
    # A new session, so that the terminal's Ctrl-C does not reach the command. A child inherits ignored signals, so they are reset.
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
    # A process stopped by SIGSTOP handles SIGTERM only after SIGCONT.
    for number in (signal.SIGCONT, signal.SIGTERM):
        child.send_signal(number)
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


if __name__ == "__main__":
    sys.exit(main())
