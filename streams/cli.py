"""The command line: `carerelay run|play|replay|worker|topics|rules|version`.

Owns names, options, exit codes and the one place where an error becomes a line for a person. Knows how to start
things and nothing of how they work; what is heavy is imported inside the command that needs it.

Exit codes: 0 done; 1 a check found something wrong; 2 wrong usage or settings; 3 Kafka, Java or Maven is not there;
130 ended by Ctrl-C.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from typing import NoReturn

import typer

app = typer.Typer(
    name="carerelay",
    help="An event backbone for care coordination. Not a medical device; synthetic data only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(version_of("carerelay"))


@app.command(hidden=True)
def help() -> None:  # noqa: A001
    """Point to --help."""
    typer.echo("carerelay --help")


def main() -> NoReturn:
    """Run the command line and exit."""
    app()
    sys.exit(0)
