"""What a handoff rule is: the shape of one file of the catalogue, of an overlay, and of the routing table.

Owns the words that a rule may use and their defaults. Must not know how a rule is read from a file (`catalogue.py`), what
a fact of a condition is worth (`facts/`) or what happens when it fires (`ladder.py`, `decide.py`).

A rule reads as: *when* a trigger happens (and its conditions hold), *somebody* is accountable, *until* a clock ends;
a closing event ends it well, an ending event makes it pointless, and steps say what happens while nobody does it.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Literal

import msgspec

from agents.coordination.reference.calendar import UNITS, Clock, Unit
from agents.coordination.rules.quiet_hours import Delivery, Quiet
from streams.contract.suggestions import did_you_mean

Scalar = str | int | float | bool

Subject = Literal["encounter", "referral", "goal", "appointment", "notification", "person"]
"""What a handoff is about. Two handoffs of one rule about the same subject are never open at once. All appointments of one
referral are one subject, named by the referral."""

Closure = Literal["met", "met-late", "cancelled", "superseded", "not-applicable"]

Again = Literal["keep", "restart", "extend", "renew"]
"""A trigger comes again while the handoff is open: keep it and its clock (`keep`, `renew`), or supersede it by a new one
(`restart`). `extend` waits for silence: the clock counts from the last word of the stay, whatever it was. With `renew` the
event that closes it may open the next one: each review begins the next interval."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"not_": "not"}):
    """A condition that is more than equality: `{not: hospice}`, `{at_least: 2}`, `{at_most: 9}`, `{known: false}`.

    `{at_least: 6, or_unknown: true}` holds too where the fact is not known: who may be old enough is watched over.
    """

    not_: Scalar | tuple[Scalar, ...] | None = None
    at_least: float | None = None
    at_most: float | None = None
    known: bool | None = None
    or_unknown: bool = False


Condition = Scalar | tuple[Scalar, ...] | Limits
"""Equality, any of several, or limits. A fact with several values (diagnosis groups) holds if one of them does. A fact
that is not known holds only for `{known: false}`, for `or_unknown: true`, or where the fact itself says `unknown`; it is never guessed."""

Where = dict[str, Condition]
"""Fact name to condition; all must hold. The names are in `facts/`; an unknown one is refused at load."""


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Opens the handoff. `event` is an inbound event type, or `NotificationIssued` (what routing has just told somebody)."""

    event: str
    where: Where = {}
    counts_from: Literal["event", "admission", "discharge", "second-setback"] = "event"
    """What starts the clock: the event itself, the stay's admission or discharge (a diagnosis that is added later), or the second
    setback of a goal in a row, where one before it is heard of later."""


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ends the handoff well: met, or met-late if it happened after due.

    It must be about the handoff's subject (an activity without an encounter counts for every stay), and have happened
    after the trigger; with `clock.day_zero: false` not on the trigger's local date either.
    """

    event: str
    where: Where = {}
    not_before: Clock | None = None
    """Counted from the trigger; earlier care does not count (NICE NG27: not before 24 hours)."""
    based_on: bool = False
    """The activity must name the subject in `based_on` (CMS50's consultant report)."""
    count: int = 1
    """How many such events it takes (two documented attempts)."""
    from_day_zero: bool = False
    """Anything on the trigger's own date counts, even before it: for measures that count in days (HEDIS: on the date of
    discharge)."""
    standing: bool = False
    """It may have happened before the trigger, where it is heard of after it: the conditions say that it still stands."""
    of_person: bool = False
    """It need not be about the handoff's own subject; the conditions say which of the person's events it is (another referral
    for the same service). An event that names what it is based on still has to name the subject."""


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Makes the handoff pointless. Death and the cancellation of its subject end every handoff without being named."""

    event: str
    where: Where = {}
    closure: Literal["superseded", "not-applicable", "cancelled"] = "superseded"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another clock where the conditions hold; the first case that holds is taken."""

    where: Where
    clock: Clock


class Shortening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event that brings due forward to `clock` counted from it, never back (medication: at the visit, latest day 30)."""

    event: str
    clock: Clock
    where: Where = {}


class Tell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One role that is told. `owner` stands for whoever is accountable at that moment."""

    role: str
    asks_acknowledgement: bool = False
    required: bool = False
    """Somebody must hear it: where nobody is known for the role, the organisation's pool or the fallback pool does."""
    delivery: Delivery | None = None
    """How this role hears a notice, where that is not as the row says. What a step tells is never delayed."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rung of the ladder.

    `at` is one of `50%` (of the time between trigger and due), `due`, `due + 1 business-day`, `due - 12 hour`,
    `trigger + 5 day`, `due + clock` (the clock's own unit once more). Rungs before due make the gap `due-soon`, those at
    or after it `open`.
    `owner` moves accountability: a role, or `next` (the directory's line of escalation). Nobody but `tells` gets a message.
    """

    at: str | dict[Unit, str]
    owner: str | None = None
    tells: tuple[Tell, ...] = ()
    where: Where = {}
    """Looked at when the rung is reached (lead at day 5 *if not booked*); a rung whose conditions fail is passed over."""
    then: Literal["", "assume-finished"] = ""
    """`assume-finished`: the silent stay counts as over, and says that this is assumed (ENC-1)."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One handoff rule, as one file `catalogue/<id>.yaml` says it. All times in the file are words, never milliseconds."""

    id: str
    version: int
    title: str
    """What is to be done, for those who may know the condition."""
    neutral_title: str
    """The same without what reveals a condition."""
    source: str
    """Where the numbers come from; our own choice says `CareRelay default`."""
    about: str = ""
    """Plain words for `carerelay rules show`."""
    profiles: tuple[str, ...] = ()
    """Profiles (us, england) in which it is on; empty: in all."""
    effective_from: date = date(1970, 1, 1)
    effective_to: date | None = None
    """First day on which it no longer opens handoffs. What is open then runs on."""
    enabled: bool = True
    sensitivity: str = "normal"
    """`normal`, or a category that needs its own permission (`mental-health`, `substance-use`, `sexual-health`, ...): fails closed."""
    purpose: str = "treatment"
    subject: Subject
    triggers: tuple[Trigger, ...]
    clock: Clock
    cases: tuple[Case, ...] = ()
    until: str | None = None
    """A fact that names an instant (`needed_by`): due then; the clock holds where it is not known."""
    shortens: tuple[Shortening, ...] = ()
    calendar: Literal["accountable", "facility"] = "accountable"
    """Whose zone and holidays; falls back to the facility's where the accountable organisation is not in the directory."""
    accountable: str
    """A role, or who the subject itself names: `referral-target`, `referral-requester`, `goal-owner`, `recipient` (of the
    notification), `setter` (whoever set the status), `facility` (the hospital or home itself),
    `transferring-facility` (the hospital that the person came from)."""
    urgency: str = "routine"
    task: Literal["opening", "due"] = "opening"
    """From when the task is asked for: from the opening, or only once it is due (a stay that went silent is nobody's work before).
    Until then it is a draft: its owner and due can be read, and no worklist holds it."""
    steps: tuple[Step, ...] = ()
    """Replaces the common ladder (`COMMON_LADDER`)."""
    closes: tuple[Closing, ...] = ()
    closes_when: Literal["any", "all"] = "any"
    completable: bool = False
    """A person may close it with TaskCompleted. Where a clinical event alone is proof (a report, a visit), TaskCompleted is
    refused with `needs-clinical-event` and changes nothing."""
    ends: tuple[Ending, ...] = ()
    again: Again = "keep"
    late_window_days: int = 30
    """How long a closed handoff is kept, so that what arrives late can still correct it."""


COMMON_LADDER: tuple[Step, ...] = (
    Step(at="50%"),
    Step(at="due", tells=(Tell("owner", required=True), Tell("coordinator-lead", required=True))),
    Step(at="due + 1 business-day", owner="next", tells=(Tell("owner", required=True),)),
)
"""The steps of a rule that names none (CareRelay default): the worklist warns at half time; at due the gap is open, and the
owner and the coordinators' lead are notified; one business day later the next role is accountable."""


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of `catalogue/routing.yaml`: which event tells which roles. The first row of an event that holds is taken."""

    id: str
    version: int = 1
    event: str
    where: Where = {}
    title: str
    neutral_title: str
    source: str = "CareRelay default"
    urgency: str = "routine"
    sensitivity: str = "normal"
    purpose: str = "treatment"
    delivery: Delivery = "at-once"
    """`daily-digest`: it waits for the recipient's next digest."""
    tells: tuple[Tell, ...]


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    notices: tuple[Notice, ...]
    quiet: Quiet = Quiet()
    codes: tuple[str, ...] = ()
    """Codes of care activities that this deployment sends beside those of the contract."""


class RuleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an overlay changes of one rule; what it does not name stays. A change of a number is a new `version`."""

    enabled: bool | None = None
    version: int | None = None
    clock: Clock | None = None
    cases: tuple[Case, ...] | None = None
    accountable: str | None = None
    steps: tuple[Step, ...] | None = None
    closes: tuple[Closing, ...] | None = None
    ends: tuple[Ending, ...] | None = None
    completable: bool | None = None
    source: str | None = None


class Overlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of `catalogue/overlays/`: changes for a locality, organisation or programme, without copying a rule.

    Applies where one of the lists names what the handoff belongs to: the organisation's profile, the organisation itself or one of its
    localities, a programme of the person's care team. Without any of them it applies everywhere. Applied in the order everywhere,
    profile, locality, organisation, programme; then by id.
    """

    id: str
    profiles: tuple[str, ...] = ()
    localities: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    programmes: tuple[str, ...] = ()
    rules: dict[str, RuleChange]

    @property
    def names_somebody(self) -> bool:
        """Whether it is for some only."""
        return bool(self.profiles or self.localities or self.organisations or self.programmes)


_AT = re.compile(r"^(due|trigger)(?: *([+-]) *(\d+) +([a-z-]+))?$|^(\d{1,2})%$")


class Moment(msgspec.Struct, frozen=True):
    """`Step.at`, taken apart: a share of the clock, or a distance from trigger or due."""

    base: Literal["share", "due", "trigger"]
    share: float = 0.0
    sign: int = 1
    clock: Clock | None = None
    before_due: bool = False


def moments_of(rule: Rule, step: Step) -> dict[Unit, Moment]:
    """Return the moment of *step* for each unit that a clock of *rule* has. Raises ValueError that says what to write instead."""
    clocks = (rule.clock, *(case.clock for case in rule.cases), *(shortening.clock for shortening in rule.shortens))
    units = dict.fromkeys(clock.unit for clock in clocks)
    if isinstance(step.at, str):
        return dict.fromkeys(units, moment_of(step.at))
    if step.at.keys() != units.keys():
        raise ValueError(f"has a moment for {', '.join(step.at)}; the clocks of the rule need one for {', '.join(units)}")
    return {unit: moment_of(step.at[unit]) for unit in units}


def moment_of(at: str) -> Moment:
    """Take `Step.at` apart. Raises ValueError that says what to write instead."""
    match = _AT.match(at.strip())
    if match is None and at.rstrip().endswith("clock"):
        raise ValueError(f"{at!r} no longer exists: write an amount and a unit, for example due + 1 business-day")
    if match is None:
        raise ValueError(f"{at!r} is no moment: write 50%, due, due + 1 business-day, due - 12 hour or trigger + 5 day")
    base, sign, amount, unit, percent = match.groups()
    if percent is not None:
        return Moment("share", share=int(percent) / 100, before_due=True)
    if sign is None and base == "trigger":
        raise ValueError(f"{at!r} is the opening itself, no step: write for example trigger + 5 day")
    clock = None
    if sign is not None:
        try:
            clock = msgspec.convert({"amount": int(amount), "unit": unit}, Clock)
        except msgspec.ValidationError as wrong:
            hint = did_you_mean(unit, UNITS)
            raise ValueError(f"{at!r}: {unit} is no unit of a clock; write one of {', '.join(UNITS)}{hint}") from wrong
    negative = sign == "-"
    if negative and clock is not None and clock.unit not in {"minute", "hour"}:
        raise ValueError(f"{at!r}: before due only minutes and hours can be counted back; else say a share or trigger + days")
    if negative and base == "trigger":
        raise ValueError(f"{at!r} is before the trigger")
    before_due = negative or base == "trigger"
    return Moment("due" if base == "due" else "trigger", sign=-1 if negative else 1, clock=clock, before_due=before_due)
