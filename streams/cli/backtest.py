"""`carerelay backtest`: the options, and the result as a table or as JSON lines.

The result is described in `docs/backtest.md`. Knows no rule; `streams/replay/backtest.py` computes the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from rich.console import Console
from rich.table import Table

from streams.base.settings import Settings
from streams.cli.agents import AgentTable
from streams.cli.exits import Exit, UserError
from streams.cli.options import AsJson, BootstrapToRead, Directory, PathsOrTopics
from streams.cli.shared import changed, on_kafka, reporting_file_errors, require_bootstrap, require_paths, settings_of, write_out
from streams.contract.events import Millis
from streams.contract.instants import parse_instant
from streams.kafka.admin import NoTopics
from streams.output.lines import write_line
from streams.replay.backtest import BacktestResult, History, Loaders, run_both
from streams.replay.compare import Comparison, Found, compare
from streams.replay.history import find_boundaries

_SHOWN_PEOPLE = 10
_TITLES = {"gap": "Gaps opened", "alert": "Alerts", "task": "Tasks"}


def backtest_command(  # noqa: PLR0917 -- options of a command
    context: typer.Context,
    paths: PathsOrTopics = None,
    rules: Annotated[Path | None, typer.Option(help="Folder of the changed handoff rules.", show_default=False)] = None,
    against: Annotated[
        Path | None, typer.Option(help="Folder of the rules to compare with; default: the rules in use.", show_default=False)
    ] = None,
    since: Annotated[
        str,
        typer.Option("--from", help="Count from this time on, for example 2026-10-01T00:00:00-04:00.", metavar="TIME", show_default=False),
    ] = "",
    until: Annotated[str, typer.Option("--to", help="Read and count up to this time.", metavar="TIME", show_default=False)] = "",
    examples: Annotated[int, typer.Option(help="Maximum number of examples for each rule, role and change.", min=0, max=1000)] = 3,
    bootstrap: BootstrapToRead = "",
    directory: Directory = None,
    profile: Annotated[
        str | None, typer.Option(help="Profile (us, england) for facilities that are not in the directory.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay one history with both sets of rules, and show the differences."""
    agents: AgentTable = context.obj
    if rules is None:
        raise UserError("--rules is required: give the folder of the changed rules")
    window = _instant("--from", since), _instant("--to", until)
    if window[0] is not None and window[1] is not None and window[0] > window[1]:
        raise UserError("--from is later than --to")
    if not paths and (window[0] is None or window[1] is None):
        raise UserError("give files or folders, or --from and --to to read the topics on Kafka")
    settings = changed(settings_of(require_bootstrap(bootstrap) if not paths else ""), directory=directory, profile=profile)
    for folder in (rules, against):
        if folder is not None and not folder.is_dir():
            raise UserError(f"{folder} is not a folder")
    old, new = changed(settings, rules=against), changed(settings, rules=rules)
    # The backtest processes load the rules again. Loading them here first reports an error as one line, not as a child's traceback.
    with reporting_file_errors():
        agents.load_in_memory(old)
        agents.load_in_memory(new)
    history = _history(settings, paths or [], *window)
    before, after = _both(Loaders(agents.load_in_memory, agents.load_intake), old, new, history)
    found = compare(before.findings, after.findings, examples)
    names = (str(against or settings.rules or "the rules in use"), str(rules))
    if as_json:
        write_out(map(write_line, lines(found, before, after, names, since)))
    else:
        show(Console(highlight=False), found, before, names)


def _instant(option: str, text: str) -> Millis | None:
    if not text:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise UserError(f"{option} is {error}; write for example 2026-10-01T00:00:00-04:00") from None


def _history(settings: Settings, paths: list[Path], since: Millis | None, until: Millis | None) -> History:
    if paths:
        require_paths(paths)
        return History(tuple(paths), None, since, until)
    assert until is not None  # noqa: S101 -- the command requires --to without paths

    async def find(kafka: dict[str, Any]) -> Any:
        try:
            return await find_boundaries(kafka, settings.clock.to_broker(until))
        except NoTopics as error:
            raise UserError(str(error), Exit.WRONG) from None

    return History((), on_kafka(settings, find), since, until)


def _both(loaders: Loaders, old: Settings, new: Settings, history: History) -> tuple[BacktestResult, BacktestResult]:
    try:
        return run_both(loaders, old, new, history)
    except OffsetOutOfRangeError:
        raise UserError("Kafka deleted records while they were read. Try again", Exit.UNAVAILABLE) from None
    except KafkaError as error:
        raise UserError(f"Kafka at {old.bootstrap} reported an error: {type(error).__name__}", Exit.UNAVAILABLE) from None
    except BrokenProcessPool:
        raise UserError(
            "a backtest process was killed, perhaps because memory ran out. Try fewer files or a shorter time", Exit.WRONG
        ) from None


# ---- as lines


def lines(found: Comparison, old: BacktestResult, new: BacktestResult, names: tuple[str, str], since: str) -> Iterator[dict[str, Any]]:
    """Yield the result: the window, then the counts, then the examples."""
    yield {
        "row": "window",
        "from": since or None,
        "to": old.last,
        "old": names[0],
        "new": names[1],
        "events": old.events,
        "people": old.people,
        "people_begin_missing": len(old.begin_missing),
        "people_may_be_missing": old.may_be_missing,
        "unread": dict(sorted(old.unread.items())),
        "refused_old": dict(sorted(old.findings.refused.items())),
        "refused_new": dict(sorted(new.findings.refused.items())),
    }
    for person in old.begin_missing:
        yield {"row": "person-begin-missing", "person": person}
    for row in found.rows:
        yield {
            "row": "count",
            "what": row.what,
            "rule": row.rule,
            "role": row.role,
            "old": row.old,
            "new": row.new,
            "change": row.new - row.old,
            "added": row.added,
            "removed": row.removed,
            "moved": row.moved,
        }
    for example in found.examples:
        yield {
            "row": "example",
            "what": example.what,
            "change": example.change,
            "rule": example.rule,
            "role": example.role,
            "old": _found(example.old),
            "new": _found(example.new),
        }


def _found(found: Found | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "at": found.at,
        "due": found.due or None,
        "rule_version": found.version,
        "role": found.role,
        "person": found.person,
        "handoff": found.handoff or None,
        "why": found.why,
    }


# ---- as a table


def show(console: Console, found: Comparison, old: BacktestResult, names: tuple[str, str]) -> None:
    """Print the result as text: the changes, then examples. Rules without a change are summarised in one line."""
    console.print(f"{old.events} events of {old.people} people up to {old.last}; old: {names[0]}, new: {names[1]}")
    _show_incomplete_history(console, old)
    for what, title in _TITLES.items():
        rows = [row for row in found.rows if row.what == what]
        total_old, total_new = sum(r.old for r in rows), sum(r.new for r in rows)
        table = Table(title=f"{title}: {total_old} → {total_new} ({total_new - total_old:+d})", title_justify="left")
        for name in ("rule", "role"):
            table.add_column(name)
        for name in ("old", "new", "change", "added", "removed", "moved"):
            table.add_column(name, justify="right")
        for row in rows:
            if row.changed:
                numbers = (row.old, row.new, f"{row.new - row.old:+d}", row.added, row.removed, row.moved)
                table.add_row(row.rule, row.role, *map(str, numbers))
        if table.row_count:
            console.print(table)
            same = sum(1 for row in rows if not row.changed)
            console.print(f"{same} other combinations of rule and role do not change.\n")
        else:
            console.print(f"{title}: {total_old}, no change.\n")
    for example in found.examples:
        console.print(f"{example.change:8}{example.what:6}{example.rule}, {example.role}:", style="bold")
        for name, one in (("old", example.old), ("new", example.new)):
            if one is not None:
                due = f", due {one.due}" if one.due else ""
                console.print(f"    {name} {one.at}{due}, person …{one.person[-6:]}: {one.why}", soft_wrap=True)


def _show_incomplete_history(console: Console, old: BacktestResult) -> None:
    missing = old.begin_missing
    if missing:
        shown = ", ".join(f"…{key[-6:]}" for key in missing[:_SHOWN_PEOPLE]) + (" and others" if len(missing) > _SHOWN_PEOPLE else "")
        console.print(f"For {len(missing)} people, the history does not contain the start of an encounter or referral: {shown}")
    if old.may_be_missing:
        console.print(f"{old.may_be_missing} people are in shards whose oldest records were deleted, so their history may be incomplete")
    for reason, count in sorted(old.unread.items()):
        console.print(f"{count} records could not be read: {reason}")
    console.print()
