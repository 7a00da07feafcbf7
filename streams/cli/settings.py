"""`carerelay settings`: list the environment variables that CareRelay reads."""

from __future__ import annotations

import typer

from streams.base.settings import table
from streams.cli.options import AsJson
from streams.cli.shared import settings_of, write_out
from streams.output.lines import write_line


def show_settings(as_json: AsJson = False) -> None:
    """Check the current settings, and write the table of all settings."""
    settings_of()
    if as_json:
        write_out([write_line({"variable": variable, "default": default, "about": about}) for variable, default, about in table()])
    else:
        width = max(len(variable) for variable, _, _ in table())
        for variable, default, about in table():
            typer.echo(f"{variable:{width}}  {about}" + (f" [{default}]" if default else ""))
