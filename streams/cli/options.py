"""Options and arguments that several commands share, each with one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[
    list[Path], typer.Argument(help="Files of HL7 v2 or JSON lines, or folders of them.", metavar="PATH…", show_default=False)
]
PathsOrTopics = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Files of HL7 v2 or JSON lines, or folders of them; default: the topics on Kafka.", metavar="PATH…", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON object per line.")]
Bootstrap = Annotated[
    str, typer.Option(help="Kafka broker as host:port; default: KAFKA_BOOTSTRAP.", metavar="HOST:PORT", show_default=False)
]
BootstrapToRead = Annotated[
    str, typer.Option(help="Kafka broker as host:port; default: KAFKA_BOOTSTRAP.", metavar="HOST:PORT", show_default=False)
]
Zone = Annotated[str, typer.Option(help="IANA time zone for displayed times; default: CARERELAY_ZONE.", show_default=False)]
Rules = Annotated[Path | None, typer.Option(help="Folder of handoff rules to use instead of the built-in ones.", show_default=False)]
Profile = Annotated[
    str | None, typer.Option(help="Profile (us, england) for facilities that are not in the directory.", show_default=False)
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Also show ids, addresses and rule versions.")]
Directory = Annotated[Path | None, typer.Option(help="Directory file to use instead of the demonstration's directory.", show_default=False)]
