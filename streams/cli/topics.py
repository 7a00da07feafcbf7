"""`carerelay topics create|check`: create the topics on Kafka, or compare them with the table of topics.

Owns the two commands and their output. `streams/kafka/admin.py` creates and compares.
"""

from __future__ import annotations

from dataclasses import asdict

import typer

from streams.cli.exits import Exit, UserError
from streams.cli.options import AsJson, Bootstrap
from streams.cli.shared import on_kafka, require_bootstrap, settings_of, write_out
from streams.kafka.admin import TopicsRefused, check_topics, create_topics
from streams.output.lines import write_line

topics_app = typer.Typer(no_args_is_help=True)


@topics_app.command("create")
def topics_create(bootstrap: Bootstrap = "", as_json: AsJson = False) -> None:
    """Create the topics that do not exist yet."""
    settings = settings_of(require_bootstrap(bootstrap))
    try:
        created = on_kafka(settings, lambda kafka: create_topics(kafka, settings.partitions, settings.replication))
    except TopicsRefused as error:
        raise UserError(str(error), Exit.WRONG) from None
    if as_json:
        write_out([write_line({"created": created})])
    else:
        typer.echo("\n".join(f"created {name}" for name in created) or "all topics exist")


@topics_app.command("check")
def topics_check(bootstrap: Bootstrap = "", as_json: AsJson = False) -> None:
    """Compare the topics on Kafka with what CareRelay needs; exit 1 if a worker could not start."""
    settings = settings_of(require_bootstrap(bootstrap))
    found = on_kafka(settings, lambda kafka: check_topics(kafka, settings.partitions))
    if as_json:
        write_out([write_line(asdict(mismatch)) for mismatch in found])
    else:
        typer.echo("\n".join(map(str, found)) or "all topics are configured correctly")
    if any(mismatch.fatal for mismatch in found):
        raise typer.Exit(Exit.WRONG)
