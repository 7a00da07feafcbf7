"""What came out, as a person reads it: who is told what and why, who owns what until when, what stalls.

Owns words and colours of the terminal for the lines of `streams/output/lines.py`. Reads nothing but those lines; shows no
identifier of a person, only the end of the key, so that one person's lines can be told from another's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from streams.contract.events import Event, Millis
from streams.contract.instants import format_instant
from streams.output.lines import Line

_KEY_SHOWN = 6
_INDENT = 28
_ROWS_MAX = 40
_DONE = frozenset({"completed", "cancelled", "rejected", "failed"})


class Board:
    """Show lines as they come, remember what is open, and show that at the end.

    What one decision did to one handoff (its task, its gap, who was alerted) is shown as one: lines wait until one of
    another instant or person comes, or `flush`.
    """

    def __init__(self, console: Console, zone: str) -> None:
        self._console = console
        self._zone = ZoneInfo(zone)
        self._tasks: dict[str, Line] = {}
        self._gaps: dict[str, Line] = {}
        self._waiting: list[Line] = []
        self._drafts: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()

    @property
    def counts(self) -> Counter[str]:
        """How many lines of each kind came."""
        return self._counts

    def show(self, line: Line) -> None:
        """Show one line, together with those that belong to it."""
        self._counts[line["effect"]] += 1
        if self._is_draft(line):
            return
        if "reason" in line:
            self._reasons[line["effect"], line["reason"]] += 1
        if self._waiting and (line["at"], line["person"]) != (self._waiting[0]["at"], self._waiting[0]["person"]):
            self.flush()
        self._waiting.append(line)

    def _is_draft(self, line: Line) -> bool:
        """Say whether *line* is of a task that asks nobody for anything yet, or ends before it did: no reader needs it."""
        if line["effect"] != "task":
            return False
        if line["state"] == "draft":
            self._drafts.add(line["handoff"])
            return True
        was = line["handoff"] in self._drafts
        self._drafts.discard(line["handoff"])
        return was and line["state"] in _DONE

    def flush(self) -> None:
        """Show what waits."""
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[str, ...], list[Line]] = {}
        for line in waiting:
            groups.setdefault(_group(line, waiting), []).append(line)
        for lines in groups.values():
            head, why = self._told(lines)
            first = lines[0]
            text = _tag(f"{self.moment(first['at'])}  ", "dim")
            text.append(f"{_person(first):>{_KEY_SHOWN}}  ", style="cyan")
            self._print(text.append_text(head), 0, hanging=_INDENT)
            if why:
                self._print(Text(why, style="dim"), _INDENT)

    def _print(self, text: Text, indent: int, *, hanging: int = 0) -> None:
        """Print with an indent; on a terminal what does not fit goes on below, from *hanging* on."""
        if not self._console.is_terminal:
            self._console.print(Text(" " * indent).append_text(text), soft_wrap=True)
            return
        width = self._console.width
        if not hanging or text.cell_len <= width or width < 2 * hanging:
            self._console.print(Padding(text, (0, 0, 0, indent)))
            return
        begin, rest = text.divide([hanging])
        first, *more = rest.wrap(self._console, width - hanging)
        self._console.print(begin.append_text(first), *(Padding(line, (0, 0, 0, hanging)) for line in more), sep="\n")

    def came(self, event: Event, arrival: Millis) -> None:
        """Show an event that was published."""
        self.flush()
        text = Text(f"{self.moment(format_instant(arrival))}  ", style="dim")
        text.append(f"{event.person[-_KEY_SHOWN:]:>{_KEY_SHOWN}}  ", style="cyan")
        facility = getattr(getattr(event.data, "encounter", None), "facility", "")
        text.append(f"in  {event.type}{f' at {_plain(facility)}' if facility else ''}, {_plain(event.source)}", style="dim")
        self._print(text, 0)

    def moment(self, instant: str) -> str:
        """Return an instant of a line as `Thu 02 Jul 15:00` in the board's zone."""
        return f"{datetime.fromisoformat(instant).astimezone(self._zone):%a %d %b %H:%M}"

    def finish(self) -> None:
        """Show what is still open, and how many lines of each kind there were."""
        self.flush()
        self._open("Open tasks", self._tasks)
        self._open("Handoffs that stall", {k: v for k, v in self._gaps.items() if v["state"] == "open"})
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(self._counts.items())) or "nothing"
        self._print(Text(f"\n{said}. Times are {self._zone.key}.", style="bold"), 0)
        for (kind, reason), count in sorted(self._reasons.items()):
            self._print(Text(f"{kind}: {reason} ({count})", style="dim"), 2)

    def _open(self, title: str, lines: dict[str, Line]) -> None:
        if not lines:
            return
        self._print(Text(f"\n{title}: {len(lines)}", style="bold"), 0)
        ordered = sorted(lines.values(), key=lambda line: (line["due"], line["handoff"]))
        for line in ordered[:_ROWS_MAX]:
            text = _tag(f"{self.moment(line['due'])}  ", "dim").append(f"{_person(line):>{_KEY_SHOWN}}  ", style="cyan")
            text.append(f"{line['rule']:7}").append(_plain(line["owner"]), style="bold")
            text.append(f"  {_plain(line['title'])}").append(f", step {line['step']}" if line["step"] else "", style="red")
            self._print(text, 0, hanging=_INDENT)
        if len(ordered) > _ROWS_MAX:
            self._print(Text(f"… and {len(ordered) - _ROWS_MAX} more", style="dim"), 0)

    # ---- one group: its first line, and the line that says why

    def _told(self, lines: list[Line]) -> tuple[Text, str]:
        kinds = {line["effect"] for line in lines}
        if kinds & {"task", "gap"}:
            return self._handoff(lines)
        line = lines[0]
        return _TELL[line["effect"]](lines), _because(line) if line["effect"] != "ignored" else ""

    def _handoff(self, lines: list[Line]) -> tuple[Text, str]:
        """Tell what became of one handoff: opened, warned, stalled, passed on, closed."""
        opened = False
        gap: Line | None = None
        task: Line | None = None
        for line in lines:
            if line["effect"] == "task":
                task = line
                opened |= line["handoff"] not in self._tasks and line["state"] not in _DONE
                _keep(self._tasks, line, gone=line["state"] in _DONE)
            elif line["effect"] == "gap":
                gap = line
                _keep(self._gaps, line, gone=line["state"] == "closed")
        last = gap or task or lines[0]
        closure = (task or last)["closure"] or last["closure"]
        if closure:
            text = _tag("DONE  " if closure == "met" else "END   ", "bold green" if closure in ("met", "met-late") else "bold")
            text.append(f"{last['rule']} {_plain(last['title'])}: {closure}")
        elif gap is not None and gap["state"] == "open":
            text = _tag("STALL ", "bold red").append(f"{last['rule']} {_plain(last['title'])}: ")
            text.append(_plain(last["owner"]), style="bold").append(
                f" is accountable, was due {self.moment(last['due'])}, step {last['step']}"
            )
        elif gap is not None and not opened:
            text = _tag("soon  ", "yellow").append(f"{last['rule']} {_plain(last['title'])}: ", style="dim")
            text.append(_plain(last["owner"])).append(f" until {self.moment(last['due'])}", style="dim")
        else:
            text = _tag("TASK  ", "bold blue").append(f"{last['rule']} {_plain(last['title'])}: ")
            text.append(_plain(last["owner"]), style="bold").append(f" until {self.moment(last['due'])}")
            if not opened:
                text.append(f", {last['state']}", style="cyan")
        told = [line["recipient"] for line in lines if line["effect"] == "notification"]
        if told:
            text.append(f"; told: {_plain(', '.join(told))}", style="yellow")
        quiet = gap is not None and gap["state"] == "due-soon" and not told
        return text, "" if quiet else _because(last)


def _keep(kept: dict[str, Line], line: Line, *, gone: bool) -> None:
    if gone:
        kept.pop(line["handoff"], None)
    else:
        kept[line["handoff"]] = line


def _group(line: Line, among: list[Line]) -> tuple[str, ...]:
    """Return what *line* belongs to: its handoff, the notice it is a copy of, or itself."""
    match line["effect"]:
        case "task" | "gap":
            return "handoff", line["handoff"]
        case "notification":
            about = line["handoff"]
            if about and any(
                other["effect"] in ("task", "gap") and (other["handoff"], other["rule"]) == (about, line["rule"]) for other in among
            ):
                return "handoff", about
            return "notice", line["rule"], line["title"]
        case "withdrawal":
            return "withdrawal", line["rule"], line["why"]
        case _:
            return "alone", str(among.index(line))


def _notices(lines: list[Line]) -> Text:
    urgent = any(line["urgency"] not in ("routine", "") for line in lines)
    head = _tag("TELL  ", "bold red" if urgent else "bold green").append(f"{_plain(lines[0]['title'])}: ")
    for place, line in enumerate(lines):
        head.append(", " if place else "").append(_plain(line["recipient"]), style="bold")
        if line["asks_acknowledgement"]:
            head.append(" (please acknowledge)", style="yellow")
    return head


def _withdrawals(lines: list[Line]) -> Text:
    return _tag("TAKE BACK ", "bold magenta").append(", ".join(_plain(line["recipient"]) for line in lines), style="bold")


def _suppressed(lines: list[Line]) -> Text:
    line = lines[0]
    reason = _plain(line["reason"])
    if line.get("where"):  # said by a door of a message that was taken: nobody was to be told
        return _tag("noted ", "yellow").append(reason).append(f"  {_plain(line['where'])}", style="dim")
    who = _plain(line["recipient"] or "")
    return _tag("not told ", "bold yellow").append(f"{who}: {reason}" if who else reason)


def _refused(lines: list[Line]) -> Text:
    line = lines[0]
    at = f" at {line['field'] or line['segment']}" if line.get("field") or line.get("segment") else ""
    head = _tag("REFUSED ", "bold red").append(f"{_plain(line['reason'])}{at}")
    return head.append(f"  {_plain(line['where'])}" if line.get("where") else "", style="dim")


def _ignored(lines: list[Line]) -> Text:
    line = lines[0]
    head = _tag("ignored ", "dim").append(f"{line['trigger']} {_plain(line['reason'])}".strip())
    return head.append(f"  {_plain(line['where'])}" if line.get("where") else "", style="dim")


_TELL: dict[str, Callable[[list[Line]], Text]] = {
    "notification": _notices,
    "withdrawal": _withdrawals,
    "suppressed": _suppressed,
    "refused": _refused,
    "ignored": _ignored,
}


def _tag(text: str, style: str) -> Text:
    """Begin a line with a part in *style*: the style of a Text itself would be that of all that is appended."""
    return Text().append(text, style=style)


def _person(line: Line) -> str:
    return (line["person"] or "")[-_KEY_SHOWN:]


def _because(line: Line) -> str:
    why = _plain(line.get("why") or "")
    goals = "; ".join(f"“{_plain(goal['description'])}”" for goal in line.get("goals", ()))
    return why + (f" Goals: {goals}" if goals else "")


def _plain(text: str) -> str:
    """Drop control characters: what a sender wrote must not steer the reader's terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
