"""The command line: `carerelay COMMAND`.

Owns the table of commands, the lookup of a command, and the conversion of errors to one line and an exit code. Does not
know what a command does: its module is imported when it is called.
"""

from __future__ import annotations

import os
import signal
import sys
from pkgutil import resolve_name
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_group

from streams.cli.agents import AgentTable, Command
from streams.cli.exits import Exit, UserError, say

_EPILOG = (
    "Exit codes: 0 success, 1 a check failed or a process stopped, 2 wrong usage or settings, 3 Kafka, Java or Maven not available, "
    "130 interrupted."
)

COMMANDS = (
    Command("run", "streams.cli.run:run", "Start a local Kafka and workers, play a story of three weeks, and show what happens."),
    Command(
        "replay",
        "streams.cli.replay:replay",
        "Show what a worker would decide for messages in files. Runs without Kafka; the same files always give the same output.",
    ),
    Command(
        "simulate",
        "streams.cli.simulate:simulate_command",
        "Generate events of synthetic people from a documented model. The same arguments give the same events.",
    ),
    Command(
        "backtest",
        "streams.cli.backtest:backtest_command",
        "Replay past events with changed rules and with those in use, and compare the results. Writes nothing to Kafka.",
    ),
    Command(
        "report",
        "streams.cli.report:report_command",
        "Report what is overdue, by owner, and what was closed in the seven days before.",
    ),
    Command(
        "play",
        "streams.cli.play:play",
        "Publish messages from files. They follow CARERELAY_CLOCK if it is set, unless --speed is given.",
    ),
    Command("show", "streams.cli.show:show", "Show what workers publish, as it is committed, until Ctrl-C."),
    Command("worker", "streams.cli.worker:worker", "Run a worker: it takes its share of the shards and gives them back on SIGTERM."),
    Command("settings", "streams.cli.settings:show_settings", "List all settings (environment variables) with their defaults."),
    Command("version", "streams.cli.version:version", "Print the version."),
    Command("topics", "streams.cli.topics:topics_app", "Create the topics on Kafka, or check them."),
    Command(
        "positions",
        "streams.cli.positions:positions_app",
        "Show how far each shard has read its topics, and continue after a loss of records.",
    ),
)
"""The commands that belong to no agent. Their help is in this table, so that no module is imported to show it."""


class _LazyGroup(TyperGroup):
    """Lists commands from the table, and imports the one that is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, listed, rest = super().resolve_command(ctx, args)
        if listed is None or name is None:
            return name, listed, rest
        command = next(command for command in _commands_of(ctx.obj) if command.name == name)
        loaded = resolve_name(command.target)
        group = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        if isinstance(loaded, typer.Typer):
            group.add_typer(loaded, name=name, help=command.help)
        else:
            group.command(name, help=command.help)(loaded)
        return name, get_group(group).commands[name], rest


def make_app(agents: AgentTable) -> typer.Typer:
    """Make the command line for *agents*."""
    app = typer.Typer(
        name="carerelay",
        cls=_LazyGroup,
        context_settings={"obj": agents},
        help="An event backbone for care coordination. Not a medical device; synthetic data only.",
        epilog=_EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in _commands_of(agents):
        app.command(command.name, help=command.help)(_listed)
    return app


def main(agents: AgentTable) -> NoReturn:
    """Run the command line for *agents* and exit with one of `Exit`."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    code: int = Exit.DONE
    try:
        result = make_app(agents)(standalone_mode=False, prog_name="carerelay")
        code = result if isinstance(result, int) else Exit.DONE
    except UserError as error:
        say(f"carerelay: {error}")
        code = error.code
    except BrokenPipeError:
        # The reader has closed the pipe (as `head` does). At exit Python flushes standard output again, which would raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (KeyboardInterrupt, typer.Abort):
        code = Exit.INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- raised again unless it is typer's
        code = _usage_error(error)
    sys.exit(code)


def _commands_of(agents: AgentTable) -> list[Command]:
    return [*COMMANDS, *agents.commands]


def _listed() -> None:
    """Placeholder for a command that is not imported. `_LazyGroup` never calls it."""


def _usage_error(error: Exception) -> Exit:
    """Show an error that typer found in the command line. Raises every other error, because it is a fault of the program."""
    shown = getattr(error, "format_message", None)
    if shown is None:
        raise error
    if shown():
        say(f"carerelay: {shown()}")
    return Exit.USAGE


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
