"""`carerelay version`."""

from __future__ import annotations

from importlib.metadata import version as version_of

import typer


def version() -> None:
    """Print the version of the installed package."""
    typer.echo(version_of("carerelay"))
