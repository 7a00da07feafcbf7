"""How a command ends: exit codes, and the errors that a person can mend.

Owns what every command needs and nothing that takes time to import: `carerelay --help` and `carerelay version` load it.
"""

from __future__ import annotations

from enum import IntEnum

import typer


class Exit(IntEnum):
    """The exit codes; the command's help says them too."""

    DONE = 0
    WRONG = 1
    """A check found something, or what was started ended by itself."""
    USAGE = 2
    """The command, a setting or a path is wrong."""
    UNAVAILABLE = 3
    """Kafka, Java or Maven is not there."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or SIGTERM."""


class UserError(Exception):
    """What the user can mend: one line, and the exit code."""

    def __init__(self, text: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(text)
        self.code = code


def say(text: str) -> None:
    """Write a line for the person at the terminal: to standard error, so that it never mixes with what came out."""
    typer.echo(text, err=True)
