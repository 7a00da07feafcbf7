"""`carerelay run`: the options of the demonstration.

Owns the checks before anything starts. `demonstration.py` runs the demonstration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streams.cli.agents import AgentTable
from streams.cli.demonstration import STORY, STORY_ZONE, DemonstrationError, Playback, demonstrate, new_secret
from streams.cli.exits import Exit, UserError
from streams.cli.options import Bootstrap, Verbose, Zone
from streams.cli.shared import changed, reporting_file_errors, reporting_kafka_errors, require_paths, require_zone, settings_of, wording_of
from streams.intake.files import read_paths
from streams.local.jars import LocalKafkaError


def run(  # noqa: PLR0917 -- options of a command
    context: typer.Context,
    speed: Annotated[float, typer.Option(help="Seconds of story time per second: 10080 is a week per minute.", min=1)] = 10_080,
    path: Annotated[
        list[Path] | None, typer.Option(help="Files or folders of messages to play instead of the story.", show_default=False)
    ] = None,
    bootstrap: Bootstrap = "",
    zone: Zone = "",
    verbose: Verbose = False,
) -> None:
    """Check the settings, read the messages, and run the demonstration."""
    agents: AgentTable = context.obj
    settings = settings_of(bootstrap)
    if settings.bootstrap and settings.has_demo_secret:
        settings = changed(settings, key_secret=new_secret())
    shown = require_zone(zone or (settings.default_zone if path else STORY_ZONE))
    paths = path or [STORY]
    require_paths(paths)
    with reporting_file_errors():
        for row in agents.rows:
            row.load(settings)  # This reports wrong rules. Otherwise, the error would only be in a worker's log.
        intake_settings = agents.load_intake(settings)
    wording = wording_of(agents, settings, shown, verbose=verbose)
    arrivals = list(read_paths(paths, intake_settings))
    if not arrivals:
        raise UserError(f"there are no messages in {', '.join(map(str, paths))}")
    try:
        with reporting_kafka_errors(settings):
            demonstrate(agents, settings, Playback(arrivals, speed, wording), Console())
    except DemonstrationError as error:
        raise UserError(str(error), Exit.WRONG) from None
    except LocalKafkaError as error:
        raise UserError(str(error), Exit.UNAVAILABLE) from None
