"""Lines as sentences: what the terminal shows for one handoff, one notification, one refusal.

Owns the words, the labels and their colours. Reads only lines of `streams/output/lines.py`, and knows no rule and no
terminal. Names of people and organisations come from the caller; only verbose sentences contain ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from streams.contract.address import Address
from streams.output.lines import Line

Names = Callable[[str], str]
"""Returns the name to show for an address `role/kind:id`."""

LABEL_WIDTH = 9

_OVERDUE = ("OVERDUE", "bold red")
_DUE_SOON = ("DUE SOON", "yellow")
_TO_DO = ("TO DO", "bold blue")
_REFUSED = ("REFUSED", "bold red")
_IGNORED = ("IGNORED", "dim")
_WITHDRAWN = ("WITHDRAWN", "bold magenta")
_NOT_SENT = ("NOT SENT", "bold yellow")
_NO_ACTION = ("NO ACTION", "yellow")
_NOTED = ("NOTED", "yellow")

_CLOSURES = {
    "met": ("DONE", "bold green", "done in time"),
    "met-late": ("DONE", "bold green", "done late"),
    "superseded": ("CLOSED", "bold", "replaced by a newer event"),
    "cancelled": ("CLOSED", "bold", "cancelled"),
    "not-applicable": ("CLOSED", "bold", "no longer needed"),
}

_REASONS = {
    "bundled": "already notified of the same encounter",
    "consent-missing": "no consent on file",
    "consent-withheld": "the person withholds consent",
    "duplicate": "this event was received before",
    "form-wrong": "not a valid event",
    "no-material-change": "nothing important has changed",
    "not-told-by-routing": "no notification is set up for this event",
    "same-facility-and-level": "same facility and same level of care",
}
"""Texts for reason codes that are not clear by themselves. Other codes are shown with spaces instead of hyphens."""

_CHANGES = {
    "received": "has seen the task and",
    "accepted": "has taken the task and",
    "in-progress": "is working on it and",
    "on-hold": "has put it off and",
    "requested": "now owns the task and",
}
"""What the owner of an open task did, by the state that the task changed to."""

_KINDS = "practitioner|organization|caregiver|pool"
_ADDRESS = re.compile(rf"\b([a-z][a-z-]*)(?:/| \()((?:{_KINDS}):[^\s(),;]+[^\s(),;.:])\)?")
_EVENT_IN_BRACKETS = re.compile(r"\(event [^;)]+(?:; )?")
_EMPTY_BRACKETS = re.compile(r"\s*\(\)")
_SENTENCE_END = re.compile(r"(?<=\.)\s+(?=[A-Z])")
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A label with its style, what happened, and why. `why` is empty if the text already says it."""

    label: str
    style: str
    text: str
    why: str = ""


def role_and_id(address: str) -> str:
    """Return `pcp 8802` for `pcp/practitioner:8802`. This is shown for an address without a name."""
    holder = Address.parse(address)
    return f"{words(holder.role)} {holder.id}".strip()


def words(code: str) -> str:
    """Return a code with spaces: `consent missing` for `consent-missing`."""
    return code.replace("-", " ")


def reason_of(code: str) -> str:
    """Return the text for a reason code, as part of a sentence."""
    return _REASONS.get(code, words(plain(code)))


def plain(text: str) -> str:
    """Replace control characters: a sender's text must not control the reader's terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def how_it_ended(closure: str) -> str:
    """Return the text for a closure: `done late` for `met-late`."""
    return _CLOSURES[closure][2] if closure in _CLOSURES else words(closure)


def drop_repeated(why: str, said: set[str]) -> str:
    """Return *why* without the sentences that are in *said*. Adds the remaining ones to *said*."""
    new = [sentence for sentence in _SENTENCE_END.split(why) if sentence not in said]
    said.update(new)
    return " ".join(new)


def label_of(line: Line) -> str:
    """Return the label of a line that has a reason, in lower case. The summary counts reasons by this label."""
    return _label(line)[0].lower()


@dataclass(frozen=True, slots=True)
class Wording:
    """Writes sentences with names from *name* and times in *zone*. If *verbose*, also with ids and rule versions."""

    zone: ZoneInfo
    name: Names = role_and_id
    verbose: bool = False

    # ---- parts of sentences

    def moment(self, instant: str) -> str:
        """Return a time of a line as `Thu 2 Jul 15:00`."""
        at = self._local(instant)
        return f"{at:%a} {at.day} {at:%b %H:%M}"

    def deadline(self, instant: str) -> str:
        """Return a deadline as `Thu 2 Jul 15:00`, and one at midnight as the end of the previous day."""
        at = self._local(instant)
        if (at.hour, at.minute, at.second) != (0, 0, 0):
            return self.moment(instant)
        day = at - timedelta(days=1)
        return f"the end of {day:%a} {day.day} {day:%b}"

    def _local(self, instant: str) -> datetime:
        return datetime.fromisoformat(instant).astimezone(self.zone)

    def who(self, address: str) -> str:
        """Return the name of an address, if verbose with the address itself."""
        name = plain(self.name(address))
        return f"{name} [{plain(address)}]" if self.verbose else name

    def why(self, line: Line) -> str:
        """Return the reason of *line* as a sentence. Contains ids and rule versions only if verbose."""
        text = line.get("why") or ""
        if not self.verbose:
            text = _without_ids(text, line)
        text = plain(_ADDRESS.sub(lambda found: self.name(f"{found[1]}/{found[2]}"), text))
        if goals := "; ".join(f"“{plain(goal['description'])}”" for goal in line.get("goals", ())):
            text = f"{text} The person's goals: {goals}"
        ends = not text or text.endswith((".", "”", "?", "!"))
        return _sentence(text) + ("" if ends else ".") + self.ids(line)

    def ids(self, line: Line) -> str:
        """Return rule and ids of *line* in brackets; empty unless verbose."""
        if not self.verbose:
            return ""
        rule = f"{line['rule']} version {line['rule_version']}" if line.get("rule_version") else line.get("rule")
        step = f"step {line['step']}" if line.get("step") else None
        handoff = f"handoff {line['handoff']}" if line.get("handoff") else None
        said = [plain(part) for part in (rule, step, handoff, f"id {line['id']}" if line.get("id") else None) if part]
        return f" [{', '.join(said)}]" if said else ""

    # ---- sentences

    def of_handoff(self, last: Line, closure: str | None, task: Line | None, notified: Sequence[Line], *, opened: bool) -> Sentence:
        """Return the sentence about a handoff that was opened or changed, is due soon or overdue, or was closed.

        *last* is its newest gap or task line, *task* its newest task line of the same instant, *notified* the
        notifications about it.
        """
        title, owner = plain(last["title"]), self.who(last["owner"])
        until = f"has until {self.deadline(last['due'])} to {_as_infinitive(title)}"
        recipients = _listed(list(dict.fromkeys(self.who(line["recipient"]) for line in notified)))
        also = f". Notified: {recipients}" if recipients else ""
        if closure:
            label, style, how = _CLOSURES.get(closure, ("CLOSED", "bold", words(closure)))
            return Sentence(label, style, f"{title}: {how}{also}", self.why(last))
        if last["effect"] == "gap" and last["state"] == "open":
            text = f"{title}. It was due by {self.deadline(last['due'])}. {owner} is accountable now{also}"
            return Sentence(*_OVERDUE, text, self.why(last))
        if last["effect"] == "gap" and not opened:
            return Sentence(*_DUE_SOON, f"{owner} {until}{also}", self.why(last) if notified else "")
        change = "" if opened or task is None else _CHANGES.get(task["state"], "")
        return Sentence(*_TO_DO, " ".join(filter(None, (owner, change, until))) + also, self.why(last))

    def of_notifications(self, lines: Sequence[Line]) -> Sentence:
        """Return the sentence about a notification and all its recipients."""
        urgent = any(line["urgency"] not in ("routine", "") for line in lines)
        recipients = "; ".join(self._recipient(line) for line in lines)
        return Sentence("NOTIFIED", "bold red" if urgent else "bold green", f"{plain(lines[0]['title'])}: {recipients}", self.why(lines[0]))

    def _recipient(self, line: Line) -> str:
        later = f", not before {self.moment(line['deliver_after'])}" if line.get("deliver_after") else ""
        asked = ", who is asked to acknowledge" if line["asks_acknowledgement"] else ""
        return f"{self.who(line['recipient'])}{later}{asked}"

    def of_withdrawals(self, lines: Sequence[Line], title: str) -> Sentence:
        """Return the sentence about a withdrawn notification. *title* is empty if the notification was not shown."""
        recipients = _listed(list(dict.fromkeys(self.who(line["recipient"]) for line in lines)))
        return Sentence(*_WITHDRAWN, f"{plain(title) or 'An earlier notification'}, sent to {recipients}", self.why(lines[0]))

    def of_line(self, line: Line) -> Sentence:
        """Return the sentence for a suppressed, refused or ignored line. Such a line is never combined with others."""
        label, style = _label(line)
        reason = reason_of(line["reason"])
        where = f" ({plain(line['where'])})" if line.get("where") else ""
        if line["effect"] == "ignored":
            trigger = f"{plain(line['trigger'])}: " if line["trigger"] else ""
            return Sentence(label, style, _sentence(f"{trigger}{plain(line['why'])}") + where)
        if line.get("recipient"):
            return Sentence(label, style, f"{self.who(line['recipient'])} was not notified: {reason}", self.why(line))
        position = line.get("field") or line.get("segment")
        text = f"Nobody was notified: {reason}" if (label, style) == _NO_ACTION else _sentence(reason)
        return Sentence(label, style, text + (f" in {plain(position)}" if position else "") + where, self.why(line))


def _label(line: Line) -> tuple[str, str]:
    if line["effect"] == "refused":
        return _REFUSED
    if line["effect"] == "ignored":
        return _IGNORED
    if line.get("where"):  # The line is about a part of an accepted message and not about notifications.
        return _NOTED
    return _NOT_SENT if line.get("recipient") else _NO_ACTION


def _without_ids(text: str, line: Line) -> str:
    """Remove the rule, its version, and the ids of events and tasks from *text*."""
    if rule := line.get("rule"):
        text = re.sub(rf"(?:\bRule )?\b{re.escape(rule)}(?: version \d+)?: (.)", lambda found: found[1].upper(), text)
    text = _EMPTY_BRACKETS.sub("", _EVENT_IN_BRACKETS.sub("(", text))
    ids = "|".join([_UUID, *(re.escape(line[name]) for name in ("cause", "id") if line.get(name))])
    return re.sub(rf"\b([Ee]vent|[Tt]ask) (?:{ids})(?!\w)", r"\1", text)


def _listed(names: Sequence[str]) -> str:
    """Join names for a sentence: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _as_infinitive(title: str) -> str:
    """Return the title of a task, which is an instruction, so that it can follow `to`: `speak with the person`."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
