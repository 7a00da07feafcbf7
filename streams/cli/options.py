"""Options and arguments that several commands take, with one text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[list[Path], typer.Argument(help="HL7 v2 files, JSON lines, or folders of them.", metavar="PATH…", show_default=False)]
PathsOrTopics = Annotated[
    list[Path] | None,
    typer.Argument(help="HL7 v2 files, JSON lines, or folders of them; none: the topics.", metavar="PATH…", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
Bootstrap = Annotated[str, typer.Option(help="Kafka to use, host:port; default: KAFKA_BOOTSTRAP.", metavar="HOST:PORT", show_default=False)]
BootstrapToRead = Annotated[
    str, typer.Option(help="Kafka to read, host:port; default: KAFKA_BOOTSTRAP.", metavar="HOST:PORT", show_default=False)
]
Zone = Annotated[str, typer.Option(help="IANA zone in which times are shown; default: CARERELAY_ZONE.", show_default=False)]
Rules = Annotated[Path | None, typer.Option(help="Folder of handoff rules instead of the ones that come with it.", show_default=False)]
Profile = Annotated[
    str | None, typer.Option(help="Whose rules and calendar hold for facilities that the directory does not name.", show_default=False)
]
Directory = Annotated[Path | None, typer.Option(help="directory.yaml instead of the demonstration's.", show_default=False)]
