"""`carerelay play`: publish messages from files to Kafka.

Owns the options and the summary. `streams/intake/publisher.py` publishes the messages.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from streams.cli.agents import AgentTable
from streams.cli.exits import say
from streams.cli.options import AsJson, Bootstrap, Directory, Paths
from streams.cli.shared import changed, on_kafka, reporting_file_errors, require_bootstrap, require_paths, settings_of, write_out
from streams.contract.events import Millis
from streams.contract.topics import QUARANTINE
from streams.intake.files import read_paths
from streams.intake.publisher import at_speed, publish, unpaced
from streams.intake.reading import Arrived
from streams.output.lines import INTAKE_KINDS, line_of_arrival, reasons_of, write_line


def play(  # noqa: PLR0917 -- options of a command
    context: typer.Context,
    paths: Paths,
    speed: Annotated[float, typer.Option(help="Seconds of story time per second; 0 publishes as fast as possible.", min=0)] = 0,
    bootstrap: Bootstrap = "",
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Publish the messages of files, report refused and ignored messages as they occur, and print counts."""
    agents: AgentTable = context.obj
    settings = changed(settings_of(require_bootstrap(bootstrap)), directory=directory)
    clock = settings.clock

    def on_clock(arrival: Millis) -> float:
        return clock.to_broker(arrival) / 1000

    pace = at_speed(speed) if speed else unpaced if clock.real else on_clock
    reasons: Counter[tuple[str, str]] = Counter()

    def seen(arrived: Arrived) -> None:
        line = line_of_arrival(arrived)
        if line is not None:
            position = line.get("field") or line.get("segment") or ""
            remedy = f": {line['why']}" if line["effect"] == "refused" else ""
            say(
                " ".join(filter(None, (f"{line['effect']}: {line['reason']}", position and f"at {position}", f"in {line['where']}")))
                + remedy
            )
        reasons.update(reasons_of(arrived))

    require_paths(paths)
    with reporting_file_errors():
        arrivals = read_paths(paths, agents.load_intake(settings))
    published = on_kafka(settings, lambda kafka: publish(kafka, arrivals, pace=pace, seen=seen))
    if as_json:
        by_kind = {kind: {r: n for (k, r), n in sorted(reasons.items()) if k == kind} for kind in INTAKE_KINDS}
        write_out([write_line({"published": dict(sorted(published.events.items())), **by_kind, "quarantined": published.quarantined})])
        return
    for topic, count in sorted(published.events.items()):
        typer.echo(f"{count:8} {topic}")
    typer.echo(
        f"{published.total:8} published, {published.others} refused or ignored, of which {published.quarantined} are in {QUARANTINE.name}"
    )
    for (kind, reason), count in sorted(reasons.items()):
        typer.echo(f"{count:8} {kind}: {reason}")
