"""The terminal's board: what happened, line by line, and what is open at the end.

Owns how lines are grouped, wrapped and counted, and what the board remembers. `streams/output/sentences.py` writes the
sentences. Shows no identifier of a person, only the end of the key, so that a reader can distinguish the persons.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from streams.contract.events import Event, Millis
from streams.contract.instants import format_instant
from streams.output.lines import Line
from streams.output.sentences import LABEL_WIDTH, Sentence, Wording, drop_repeated, label_of, plain, reason_of

_KEY_SHOWN = 6
_INDENT = 16 + 2 + _KEY_SHOWN + 2 + LABEL_WIDTH + 2
"""The column at which sentences start: after the time, the end of the person's key and the label."""
_ROW_INDENT = 17 + 2 + _KEY_SHOWN + 2
_ROWS_MAX = 40
_TITLES_MAX = 10_000
"""How many titles of notifications are remembered, for the line about a withdrawal."""
_DONE = frozenset({"completed", "cancelled", "rejected", "failed"})
_ALWAYS_WHY = frozenset({"withdrawal", "suppressed"})
_COUNTED = {
    "notification": ("notification", "notifications"),
    "withdrawal": ("withdrawal", "withdrawals"),
    "task": ("task update", "task updates"),
    "gap": ("due-soon or overdue update", "due-soon or overdue updates"),
}
"""Singular and plural of the kinds of lines, in the order of the summary. Lines that have a reason are counted by label instead."""


class Board:
    """Shows lines as they arrive, and at the end what is still open.

    Everything that one decision did to a handoff (its task, its gap, its alerts) is shown as one line. So lines wait until
    a line of another instant or person arrives, or `flush` is called.
    """

    def __init__(self, console: Console, wording: Wording) -> None:
        self._console = console
        self._wording = wording
        self._tasks: dict[str, Line] = {}
        self._gaps: dict[str, Line] = {}
        self._titles: dict[str, str] = {}
        self._waiting: list[Line] = []
        self._drafts: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()

    @property
    def counts(self) -> Counter[str]:
        """How many lines of each kind were shown."""
        return self._counts

    def begin(self) -> None:
        """Print a legend of the columns."""
        legend = f"Each line: time ({self._wording.zone.key}), the last {_KEY_SHOWN} characters of the person's key, what happened.\n"
        self._print(Text(legend, style="dim"), 0)

    def show(self, line: Line) -> None:
        """Add one line. It is shown together with those that belong to it."""
        self._counts[line["effect"]] += 1
        if self._is_draft(line):
            return
        if "reason" in line:
            self._reasons[label_of(line), line["reason"]] += 1
        if self._waiting and (line["at"], line["person"]) != (self._waiting[0]["at"], self._waiting[0]["person"]):
            self.flush()
        self._waiting.append(line)

    def _is_draft(self, line: Line) -> bool:
        """Return whether *line* belongs to a draft: a task that is not requested yet, or that ended as a draft. Drafts are not shown."""
        if line["effect"] != "task":
            return False
        if line["state"] == "draft":
            self._drafts.add(line["handoff"])
            return True
        was = line["handoff"] in self._drafts
        self._drafts.discard(line["handoff"])
        return was and line["state"] in _DONE

    def flush(self) -> None:
        """Show the waiting lines."""
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[str, ...], list[Line]] = {}
        for line in waiting:
            groups.setdefault(self._group(line, waiting), []).append(line)
        said: set[str] = set()
        for lines in groups.values():
            sentence = self._sentence(lines)
            text = self._columns(lines[0]["at"], lines[0]["person"], sentence.label, sentence.style)
            self._print(text.append(sentence.text), 0, hanging=_INDENT)
            # One event often opens or closes several handoffs, so a reason is not repeated within one flush. Withdrawals and
            # suppressions always show their reason.
            if why := sentence.why if lines[0]["effect"] in _ALWAYS_WHY else drop_repeated(sentence.why, said):
                self._print(Text(why, style="dim"), _INDENT)

    def _columns(self, instant: str, person: str | None, label: str, style: str) -> Text:
        at = datetime.fromisoformat(instant).astimezone(self._wording.zone)
        text = Text().append(f"{at:%a} {at.day:2} {at:%b %H:%M}  ", style="dim")
        text.append(f"{(person or '')[-_KEY_SHOWN:]:>{_KEY_SHOWN}}  ", style="cyan")
        return text.append(f"{label:{LABEL_WIDTH}}", style=style).append("  ")

    def _print(self, text: Text, indent: int, *, hanging: int = 0) -> None:
        """Print with an indent. On a terminal, a long line is wrapped, and its continuation is indented by *hanging*."""
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

    def show_event(self, event: Event, arrival: Millis) -> None:
        """Show an event that was published."""
        self.flush()
        facility = getattr(getattr(event.data, "encounter", None), "facility", "")
        what = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event.type).capitalize()
        text = self._columns(format_instant(arrival), event.person, "received", "dim")
        said = f"{what}{f' at {plain(facility)}' if facility else ''}, from {plain(event.source)}"
        self._print(text.append(said, style="dim"), 0, hanging=_INDENT)

    def finish(self) -> None:
        """Show what is still open, and the number of lines of each kind."""
        self.flush()
        overdue = {handoff: line for handoff, line in self._gaps.items() if line["state"] == "open"}
        self._open("Overdue", "with the time when each was due", overdue)
        self._open(
            "Open and not overdue", "with the time when each is due", {h: line for h, line in self._tasks.items() if h not in overdue}
        )
        counted = [f"{n} {_COUNTED[kind][n > 1]}" for kind in _COUNTED if (n := self._counts[kind])]
        labels: Counter[str] = Counter()
        for (label, _), count in self._reasons.items():
            labels[label] += count
        counted += [f"{count} {label}" for label, count in sorted(labels.items())]
        self._print(Text(f"\nIn all: {', '.join(counted) or 'nothing'}.", style="bold"), 0)
        for (label, reason), count in sorted(self._reasons.items()):
            self._print(Text(f"{label}: {reason_of(reason)} ({count})", style="dim"), 2)

    def _open(self, title: str, about: str, lines: dict[str, Line]) -> None:
        if not lines:
            return
        self._print(Text(f"\n{title}: {len(lines)}", style="bold").append(f", {about}", style="dim"), 0)
        ordered = sorted(lines.values(), key=lambda line: (line["due"], line["handoff"]))
        for line in ordered[:_ROWS_MAX]:
            text = Text().append(f"{self._wording.deadline(line['due']).removeprefix('the '):17}  ", style="dim")
            text.append(f"{(line['person'] or '')[-_KEY_SHOWN:]:>{_KEY_SHOWN}}  ", style="cyan")
            text.append(self._wording.who(line["owner"]), style="bold").append(f": {plain(line['title'])}{self._wording.ids(line)}")
            self._print(text, 0, hanging=_ROW_INDENT)
        if len(ordered) > _ROWS_MAX:
            self._print(Text(f"… and {len(ordered) - _ROWS_MAX} more", style="dim"), 0)

    # ---- which lines belong together

    def _group(self, line: Line, among: list[Line]) -> tuple[str, ...]:
        """Return the key of the group that is shown as one line: a handoff, a notification with several recipients, or *line* alone."""
        match line["effect"]:
            case "task" | "gap":
                return "handoff", line["handoff"]
            case "notification":
                about = line["handoff"]
                if about and any(
                    other["effect"] in ("task", "gap") and (other["handoff"], other["rule"]) == (about, line["rule"]) for other in among
                ):
                    return "handoff", about
                return "notification", line["rule"], line["title"]
            case "withdrawal":
                return "withdrawal", line["rule"], line["why"], self._titles.get(line["notification"], "")
            case _:
                return "alone", str(among.index(line))

    def _sentence(self, lines: list[Line]) -> Sentence:
        notifications = [line for line in lines if line["effect"] == "notification"]
        for line in notifications:
            self._remember(line)
        match lines[0]["effect"]:
            case "suppressed" | "refused" | "ignored":
                return self._wording.of_line(lines[0])
            case "withdrawal":
                return self._wording.of_withdrawals(lines, self._titles.get(lines[0]["notification"], ""))
        return self._wording.of_notifications(lines) if len(notifications) == len(lines) else self._of_handoff(lines, notifications)

    def _remember(self, notification: Line) -> None:
        self._titles[notification["id"]] = notification["title"]
        if len(self._titles) > _TITLES_MAX:
            del self._titles[next(iter(self._titles))]

    def _of_handoff(self, lines: list[Line], notified: list[Line]) -> Sentence:
        """Remember whether the handoff is open, and return the sentence about it."""
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
        return self._wording.of_handoff(last, closure, task, notified, opened=opened)


def _keep(kept: dict[str, Line], line: Line, *, gone: bool) -> None:
    if gone:
        kept.pop(line["handoff"], None)
    else:
        kept[line["handoff"]] = line
