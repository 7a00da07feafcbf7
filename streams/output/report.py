"""The weekly report for operations: the overdue handoffs with their owners, and how the handoffs of the week ended.

Owns the report and its two forms. Reads only lines of `streams/output/lines.py`, and shows no title that reveals a condition.
Sends nothing, because the owners were notified when their handoffs became overdue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby

from streams.contract.events import Millis
from streams.contract.instants import format_instant, parse_instant
from streams.contract.topics import DAY_MS
from streams.output.lines import Line
from streams.output.sentences import Wording, how_it_ended, plain

_WEEK_MS = 7 * DAY_MS


class Week:
    """The gaps at the time *end*, and those that were closed in the seven days before it.

    Only the newest line of a gap counts. If two lines have the same time, the later one counts. Lines may be out of order, because
    the lines of a merged person come from two partitions.
    """

    def __init__(self, lines: Iterable[Line], end: Millis | None = None) -> None:
        last = 0
        self._gaps: dict[str, Line] = {}
        newest: dict[str, int] = {}
        for line in lines:
            at = parse_instant(line["at"])
            last = max(last, at)
            if line["effect"] == "gap" and at >= newest.get(line["handoff"], at):
                self._gaps[line["handoff"]], newest[line["handoff"]] = line, at
        self.end = Millis(last) if end is None else end

    def overdue(self) -> list[Line]:
        """Return the open gaps, by owner, the oldest deadline first."""
        found = [line for line in self._gaps.values() if line["state"] == "open"]
        return sorted(found, key=lambda line: (line["owner"], line["due"], line["handoff"]))

    def closed(self) -> list[tuple[str, str, int]]:
        """Return (rule, closure, count) of the gaps that were closed in the week."""
        since = self.end - _WEEK_MS
        counts = Counter(
            (line["rule"], line["closure"])
            for line in self._gaps.values()
            if line["state"] == "closed" and since < parse_instant(line["at"]) <= self.end
        )
        return [(rule, closure, count) for (rule, closure), count in sorted(counts.items())]

    def lines(self) -> Iterator[Line]:
        """Yield the report as lines of JSON values, described in `docs/replay.md`."""
        for gap in self.overdue():
            yield {
                "report": "overdue",
                "at": format_instant(self.end),
                "weeks_overdue": (self.end - parse_instant(gap["due"])) // _WEEK_MS,
                **{name: gap[name] for name in ("rule", "handoff", "neutral_title", "owner", "due", "step", "person")},
            }
        for rule, closure, count in self.closed():
            yield {"report": "closed", "at": format_instant(self.end), "rule": rule, "closure": closure, "count": count}

    def text(self, wording: Wording) -> Iterator[str]:
        """Yield the report as lines of text, worded by *wording*."""
        overdue = self.overdue()
        end = datetime.fromtimestamp(self.end / 1000, wording.zone)
        yield f"Overdue on {end:%a} {end.day} {end:%b %Y %H:%M} ({wording.zone.key}): {len(overdue)}"
        for owner, of_owner in groupby(overdue, key=lambda line: line["owner"]):
            rows = list(of_owner)
            yield f"\n{wording.who(owner)}: {len(rows)}"
            for line in rows:
                weeks = (self.end - parse_instant(line["due"])) // _WEEK_MS
                since = f", {weeks} {'week' if weeks == 1 else 'weeks'} ago" if weeks else ""
                yield f"  {plain(line['neutral_title'])}: was due by {wording.deadline(line['due'])}{since}{wording.ids(line)}"
        titles = {line["rule"]: plain(line["neutral_title"]) for line in self._gaps.values()}
        closed = self.closed()
        yield f"\nClosed in the seven days before: {sum(count for *_, count in closed) or 'none'}"
        for rule, closure, count in closed:
            yield f"  {titles[rule]}: {count} {how_it_ended(closure)}" + (f" [{rule}, {closure}]" if wording.verbose else "")
