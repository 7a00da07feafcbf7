"""What came out, as a person reads it: who is told what and why, who owns what until when, what stalls.

Owns words and colours of the terminal for the lines of `streams/told.py`. Reads nothing but those lines; shows no
identifier of a person, only the end of the key, so that one person's lines can be told from another's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.events import Event, Millis
from streams.instants import format_instant
from streams.told import Line

_KEY_SHOWN = 6
_ROWS_MAX = 40
_DONE = frozenset({"completed", "cancelled", "rejected", "failed"})


class Board:
    """Show lines as they come, remember what is open, and show that at the end."""

    def __init__(self, console: Console, zone: str) -> None:
        self._console = console
        self._zone = ZoneInfo(zone)
        self._tasks: dict[str, Line] = {}
        self._gaps: dict[str, Line] = {}
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()

    @property
    def counts(self) -> Counter[str]:
        """How many lines of each kind were shown."""
        return self._counts

    def show(self, line: Line) -> None:
        """Show one line."""
        kind = line["effect"]
        self._counts[kind] += 1
        if "reason" in line:
            self._reasons[kind, line["reason"]] += 1
        head, detail = _TELL[kind](self, line)
        text = Text(f"{self.moment(line['at'])}  ", style="dim")
        text.append(f"{_person(line):>{_KEY_SHOWN}}  ", style="cyan")
        text.append_text(head)
        self._console.print(text, soft_wrap=True)
        if detail:
            self._console.print(Text(f"{'':>28}{detail}", style="dim"), soft_wrap=True)

    def came(self, event: Event, arrival: Millis) -> None:
        """Show an event that was published."""
        text = Text(f"{self.moment(format_instant(arrival))}  ", style="dim")
        text.append(f"{event.person[-_KEY_SHOWN:]:>{_KEY_SHOWN}}  ", style="cyan")
        facility = getattr(getattr(event.data, "encounter", None), "facility", "")
        text.append(f"in  {event.type}{f' at {_plain(facility)}' if facility else ''}, {_plain(event.source)}", style="dim")
        self._console.print(text, soft_wrap=True)

    def moment(self, instant: str) -> str:
        """Return an instant of a line as `Thu 02 Jul 15:00` in the board's zone."""
        return f"{datetime.fromisoformat(instant).astimezone(self._zone):%a %d %b %H:%M}"

    def finish(self) -> None:
        """Show what is still open, and how many lines of each kind there were."""
        self._open("Open tasks", self._tasks)
        self._open("Handoffs that stall", {k: v for k, v in self._gaps.items() if v["state"] == "open"})
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(self._counts.items())) or "nothing"
        self._console.print(Text(f"\n{said}. Times are {self._zone.key}.", style="bold"), soft_wrap=True)
        for (kind, reason), count in sorted(self._reasons.items()):
            self._console.print(Text(f"  {kind}: {reason} ({count})", style="dim"), soft_wrap=True)

    def _open(self, title: str, lines: dict[str, Line]) -> None:
        if not lines:
            return
        table = Table(title=f"{title}: {len(lines)}", title_justify="left", show_edge=False, pad_edge=False)
        for column in ("due", "person", "rule", "owner", "step", "what"):
            table.add_column(column, overflow="fold")
        ordered = sorted(lines.values(), key=lambda line: (line["due"], line["handoff"]))
        for line in ordered[:_ROWS_MAX]:
            table.add_row(
                self.moment(line["due"]), _person(line), line["rule"], line["owner"], str(line["step"]), _plain(line["title"]), style=None
            )
        self._console.print()
        self._console.print(table)
        if len(ordered) > _ROWS_MAX:
            self._console.print(Text(f"… and {len(ordered) - _ROWS_MAX} more", style="dim"))

    # ---- one teller a kind: the first line, and the line that says why

    def _notification(self, line: Line) -> tuple[Text, str]:
        urgent = line["urgency"] not in ("routine", "")
        head = Text("TELL  ", style="bold red" if urgent else "bold green")
        head.append(line["recipient"], style="bold").append(f": {_plain(line['title'])}")
        if line["asks_acknowledgement"]:
            head.append(" (please acknowledge)", style="yellow")
        goals = "; ".join(f"“{_plain(goal['description'])}”" for goal in line["goals"])
        return head, _because(line) + (f" Goals: {goals}" if goals else "")

    def _withdrawal(self, line: Line) -> tuple[Text, str]:
        return Text("TAKE BACK  ", style="bold magenta").append(f"{line['recipient']}", style="bold"), _because(line)

    def _task(self, line: Line) -> tuple[Text, str]:
        new = line["handoff"] not in self._tasks
        if line["state"] in _DONE:
            self._tasks.pop(line["handoff"], None)
        else:
            self._tasks[line["handoff"]] = line
        return self._handoff_text("TASK", "bold blue", line, new=new), _because(line)

    def _gap(self, line: Line) -> tuple[Text, str]:
        new = line["handoff"] not in self._gaps
        if line["state"] == "closed":
            self._gaps.pop(line["handoff"], None)
        else:
            self._gaps[line["handoff"]] = line
        style = {"open": "bold red", "due-soon": "bold yellow"}.get(line["state"], "bold green")
        return self._handoff_text("STALL" if line["state"] == "open" else "GAP", style, line, new=new), _because(line)

    def _handoff_text(self, word: str, style: str, line: Line, *, new: bool) -> Text:
        head = Text(f"{word}  ", style=style).append(f"{line['rule']} {_plain(line['title'])}: {line['state']}")
        if line["closure"]:
            return head.append(f" ({line['closure']})", style="green" if line["closure"] == "met" else "yellow")
        head.append("  owner ", style="dim").append(line["owner"], style="bold")
        head.append(f"  until {self.moment(line['due'])}", style="dim" if new else "")
        if line["step"]:
            head.append(f"  step {line['step']}", style="red")
        return head

    def _suppressed(self, line: Line) -> tuple[Text, str]:
        return Text("NOT TOLD  ", style="bold yellow").append(f"{line['recipient']}: {_plain(line['reason'])}"), _because(line)

    def _refused(self, line: Line) -> tuple[Text, str]:
        at = f" at {line['field'] or line['segment']}" if line.get("field") or line.get("segment") else ""
        head = Text("REFUSED  ", style="bold red").append(f"{_plain(line['reason'])}{at}")
        return head.append(f"  {line['where']}" if line.get("where") else "", style="dim"), _because(line)

    def _ignored(self, line: Line) -> tuple[Text, str]:
        head = Text("ignored  ", style="dim").append(f"{line['trigger']} {_plain(line['reason'])}".strip())
        return head.append(f"  {line['where']}" if line.get("where") else "", style="dim"), ""


_TELL: dict[str, Callable[[Board, Line], tuple[Text, str]]] = {
    "notification": Board._notification,  # noqa: SLF001 -- its own table
    "withdrawal": Board._withdrawal,  # noqa: SLF001
    "task": Board._task,  # noqa: SLF001
    "gap": Board._gap,  # noqa: SLF001
    "suppressed": Board._suppressed,  # noqa: SLF001
    "refused": Board._refused,  # noqa: SLF001
    "ignored": Board._ignored,  # noqa: SLF001
}


def _person(line: Line) -> str:
    return (line["person"] or "")[-_KEY_SHOWN:]


def _because(line: Line) -> str:
    why = _plain(line.get("why") or "")
    rule = f" [{line['rule']}]" if line.get("rule") else ""
    return f"{why}{rule}" if why else ""


def _plain(text: str) -> str:
    """Drop control characters: what a sender wrote must not steer the reader's terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
