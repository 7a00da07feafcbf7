"""Exit codes, and errors that the user can fix.

Every command imports this module, including `carerelay --help`, so it imports nothing that is slow to import.
"""

from __future__ import annotations

from enum import IntEnum

import typer


class Exit(IntEnum):
    """The exit codes. `carerelay --help` lists them."""

    DONE = 0
    WRONG = 1
    """A check failed, or a process that the command started has stopped."""
    USAGE = 2
    """The command, a setting or a path is wrong."""
    UNAVAILABLE = 3
    """Kafka, Java or Maven is not available."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or SIGTERM."""


class UserError(Exception):
    """An error that the user can fix: one line of text, and the exit code."""

    def __init__(self, text: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(text)
        self.code = code


def say(text: str) -> None:
    """Write a line for the user to standard error, so that it never mixes with the command's output."""
    typer.echo(text, err=True)
