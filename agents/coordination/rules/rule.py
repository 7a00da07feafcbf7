"""The fields of a rule file, of an overlay and of the routing table.

Owns the fields and their defaults; these docstrings are the reference for authors of rules. Must not know how a file is read
(`loading.py`), how a fact is computed (`facts/`) or what happens when a rule fires (`handoffs/`).

If a trigger happens and its conditions hold, the rule opens a handoff: a role is accountable until the clock ends. A closing event
closes the handoff. An ending event ends it because it is no longer needed. Steps define what happens until then.
"""

from __future__ import annotations

import re
from datetime import date
from math import inf
from typing import Annotated, ClassVar, Final, Literal

import msgspec

from agents.coordination.reference.calendar import UNITS, Clock, Unit
from agents.coordination.rules.quiet_hours import Delivery, Quiet
from streams.contract.suggestions import did_you_mean

Scalar = str | int | float | bool

EventName = Annotated[str, msgspec.Meta(extra={"example": "PatientDischarged"})]
RoleName = Annotated[str, msgspec.Meta(extra={"example": "care-coordinator"})]

Subject = Literal["encounter", "referral", "goal", "appointment", "notification", "person"]
"""What a handoff is about. At most one handoff of a rule is open for each subject. All appointments of one referral count as one
subject."""

Closure = Literal["met", "met-late", "cancelled", "superseded", "not-applicable"]

Again = Literal["keep", "restart", "extend", "renew"]
"""What happens if a trigger comes again while the handoff is open. `keep`: nothing. `restart`: a new handoff with a new clock
supersedes it. `extend`: the clock starts again with each event of the encounter (for rules that wait for silence). `renew`: nothing,
but the event that closes the handoff may open the next one (each review starts the next interval)."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"not_": "not"}):
    """A condition other than equality: `{not: hospice}`, `{at_least: 2}`, `{at_most: 9}`, `{known: false}`.

    With `or_unknown: true` it also holds if the fact is not known: `{at_least: 6, or_unknown: true}` includes a person of
    unknown age.
    """

    not_: Scalar | tuple[Scalar, ...] | None = None
    at_least: float | None = None
    at_most: float | None = None
    known: bool | None = None
    or_unknown: bool = False


Condition = Annotated[Scalar | tuple[Scalar, ...] | Limits, msgspec.Meta(extra={"example": "a value, [several, values] or {at_least: 2}"})]
"""One value; a list of values, if any of them may fit; or `Limits`. If a fact has several values (diagnosis groups), one of them
must fit. If a fact is not known, only `{known: false}`, `or_unknown: true` and the value `unknown` fit."""

Where = Annotated[dict[str, Condition], msgspec.Meta(extra={"example": "{setting: emergency}"})]
"""Conditions by the name of the fact; all must hold. `carerelay rules facts` lists the names; an unknown one is refused."""


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Opens the handoff. `event` is an inbound event (`carerelay rules codes event`) or `NotificationIssued`."""

    EXAMPLE: ClassVar[str] = "{event: PatientDischarged}"
    event: EventName
    where: Where = {}
    counts_from: Literal["event", "admission", "discharge", "second-setback"] = "event"
    """What starts the clock: the event, the encounter's admission or discharge (for a diagnosis that is added later), or the second
    setback in a row of a goal (even if an earlier setback is reported later)."""


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Closes the handoff: as met, or as met-late if it happened after due.

    It must be about the handoff's subject (an activity without an encounter counts for every encounter). It must have happened
    after the trigger, or with `clock.day_zero: false` after the trigger's local date.
    """

    EXAMPLE: ClassVar[str] = "{event: OutreachAttempted, where: {outcome: reached}}"
    event: EventName
    where: Where = {}
    not_before: Clock | None = None
    """Time from the trigger before which care does not count (NICE NG27: not before 24 hours)."""
    based_on: bool = False
    """The activity must name the subject in its `based_on` (CMS50: the consultant report)."""
    count: int = 1
    """How many such events are needed (two documented attempts)."""
    from_day_zero: bool = False
    """An event on the trigger's local date counts even if it happened before the trigger: for measures that count in days (HEDIS: on
    the date of discharge)."""
    standing: bool = False
    """It may have happened before the trigger if it arrives after the trigger. The conditions must check that it still holds."""
    of_person: bool = False
    """It need not be about the handoff's own subject; the conditions define which of the person's events count (another referral for
    the same service). An event with a `based_on` must still name the subject there."""


class Ending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ends the handoff because it is no longer needed. Death and the cancellation of the trigger always end it."""

    EXAMPLE: ClassVar[str] = "{event: PatientAdmitted}"
    event: EventName
    where: Where = {}
    closure: Literal["superseded", "not-applicable", "cancelled"] = "superseded"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another clock if the conditions hold. The first case that holds is used."""

    where: Where
    clock: Clock


class Shortening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Makes the handoff due at the end of `clock` after the event, if that is earlier (medication: at the visit, at most day 30)."""

    event: EventName
    clock: Clock
    where: Where = {}


class Tell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One role that is notified. `owner` is the owner of the handoff at that moment."""

    EXAMPLE: ClassVar[str] = "{role: owner}"
    role: RoleName
    asks_acknowledgement: bool = False
    required: bool = False
    """If nobody is known for the role, the organisation's pool for it is notified, or the fallback pool."""
    delivery: Delivery | None = None
    """How this role is notified, if not as the routing row says. Notifications of a step are never delayed."""


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens at a moment while the handoff is open.

    `at` is `50%` (of the time between trigger and due), `due`, `due + 1 business-day`, `due - 12 hour` or `trigger + 5 day`. Steps
    before due make the gap `due-soon`, steps at or after due make it `open`. If the rule has cases with clocks of different
    units, `at` may name a moment for each unit: `{hour: due + 1 hour, business-day: due + 1 business-day}`.
    `owner` is the role that becomes accountable, or `next` for the next role in the directory's line of escalation. Only the
    roles in `tells` are notified.
    """

    EXAMPLE: ClassVar[str] = "{at: due, tells: [{role: owner}]}"
    at: Annotated[str | dict[Unit, str], msgspec.Meta(extra={"example": "due + 1 business-day"})]
    owner: str | None = None
    tells: tuple[Tell, ...] = ()
    where: Where = {}
    """Checked when the step is reached (notify the lead on day 5 if no visit is booked). If it does not hold, the step is skipped."""
    then: Literal["", "assume-finished"] = ""
    """`assume-finished`: the encounter, which has no more messages, is marked as finished by assumption (ENC-1)."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One handoff rule: the file `<id>.yaml`."""

    id: str
    version: int
    title: str
    """What is to be done, for readers who may know the condition."""
    neutral_title: str
    """The same without anything that reveals a condition."""
    source: str
    """Where the numbers come from. Your own choice is `CareRelay default`."""
    about: str = ""
    """Two or three sentences for `carerelay rules show`."""
    profiles: tuple[str, ...] = ()
    """Profiles (us, england) in which the rule is on. Empty: in all."""
    effective_from: date = date(1970, 1, 1)
    effective_to: date | None = None
    """First day on which the rule no longer opens handoffs. Open handoffs continue."""
    enabled: bool = True
    sensitivity: str = "normal"
    """`normal`, or a category that needs the person's explicit permission (`mental-health`, `substance-use`, `sexual-health` ...).
    Nobody is notified without that permission."""
    purpose: str = "treatment"
    subject: Subject
    triggers: tuple[Trigger, ...]
    clock: Clock
    cases: tuple[Case, ...] = ()
    until: str | None = None
    """A fact that is an instant (`needed_by`): due then. The clock is used if the fact is not known."""
    shortens: tuple[Shortening, ...] = ()
    calendar: Literal["accountable", "facility"] = "accountable"
    """Whose time zone and holidays apply. The facility's also apply if the directory does not know the accountable organisation."""
    accountable: RoleName
    """A role of the care team or of the organisation, or one that the subject names: `referral-target`, `referral-requester`,
    `goal-owner`, `recipient` (of the notification), `setter` (the side that set the status), `facility` (the hospital or home
    itself), `transferring-facility` (the hospital that the person came from)."""
    urgency: str = "routine"
    task: Literal["opening", "due"] = "opening"
    """When the task is requested: at the opening, or only when it is due (nobody needs to act before). Until then it is a draft: its
    owner and due time can be read, but it is in no worklist."""
    steps: tuple[Step, ...] = ()
    """What happens until the handoff is closed. Without steps: the common ones (`COMMON_LADDER`)."""
    closes: tuple[Closing, ...] = ()
    closes_when: Literal["any", "all"] = "any"
    completable: bool = False
    """The owner may close it with TaskCompleted. Otherwise TaskCompleted is refused with `needs-clinical-event`, because only a
    clinical event (a report, a visit) is proof."""
    ends: tuple[Ending, ...] = ()
    again: Again = "keep"
    late_window_days: int = 30
    """How long a closed handoff is kept, so that a late report can still correct it."""


COMMON_LADDER: tuple[Step, ...] = (
    Step(at="50%"),
    Step(at="due", tells=(Tell("owner", required=True), Tell("coordinator-lead", required=True))),
    Step(at="due + 1 business-day", owner="next", tells=(Tell("owner", required=True),)),
)
"""The steps of a rule that names none (CareRelay default): the worklist warns at half time; at due the gap is open, and the
owner and the coordinators' lead are notified; one business day later the next role is accountable."""


class Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A row of `routing.yaml`: which event notifies which roles. The first row of an event whose conditions hold is used."""

    id: str
    version: int = 1
    event: EventName
    where: Where = {}
    title: str
    neutral_title: str
    source: str = "CareRelay default"
    urgency: str = "routine"
    sensitivity: str = "normal"
    purpose: str = "treatment"
    delivery: Delivery = "at-once"
    """`daily-digest`: the notification waits for the recipient's next digest."""
    tells: tuple[Tell, ...]


class Routing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    notices: tuple[Notice, ...]
    quiet: Quiet = Quiet()
    codes: tuple[str, ...] = ()
    """Codes of care activities that this deployment sends in addition to those of the contract."""


class RuleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The changes of an overlay to one rule. Other fields keep their values. If a number changes, give a new `version`.

    A new `clock` moves the due time, and the steps that are a share of the time. Other steps keep their amounts:
    `due + 1 business-day` is still one business day, and `trigger + 5 day` may now be after due. If they no longer fit, write
    `steps` in the overlay too. Open handoffs keep their due time.
    """

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
    """A file of `overlays/`: changes for a profile, locality, organisation or programme, without a copy of the rule.

    It applies if one of its lists names the organisation's profile, one of its localities, the organisation itself, or a programme
    of the person's care team. Without any list it applies everywhere. Several overlays apply in the order everywhere, profile,
    locality, organisation, programme; then by id.
    """

    id: str
    profiles: tuple[str, ...] = ()
    localities: tuple[str, ...] = ()
    organisations: tuple[str, ...] = ()
    programmes: tuple[str, ...] = ()
    rules: dict[str, RuleChange]

    @property
    def names_somebody(self) -> bool:
        """Whether the overlay applies only to some organisations or persons."""
        return bool(self.profiles or self.localities or self.organisations or self.programmes)


_AT = re.compile(r"^(due|trigger)(?: *([+-]) *(\d+) +([a-z-]+))?$|^(\d{1,2})%$")


class Moment(msgspec.Struct, frozen=True):
    """`Step.at`, parsed: a share of the clock, or an amount of time from trigger or due."""

    base: Literal["share", "due", "trigger"]
    share: float = 0.0
    sign: int = 1
    clock: Clock | None = None
    before_due: bool = False


def moments_of(rule: Rule, step: Step) -> dict[Unit, Moment]:
    """Return the moment of *step* for each unit that the clocks of *rule* use. Raises ValueError that says what to write instead."""
    clocks = (rule.clock, *(case.clock for case in rule.cases), *(shortening.clock for shortening in rule.shortens))
    units = dict.fromkeys(clock.unit for clock in clocks)
    if isinstance(step.at, str):
        return dict.fromkeys(units, moment_of(step.at))
    if step.at.keys() != units.keys():
        missing = [unit for unit in units if unit not in step.at]
        remedy = "; ".join(
            [f"add {unit}: due, or {unit}: due + 1 {unit}" for unit in missing]
            + [f"remove {unit}" for unit in step.at if unit not in units]
        )
        raise ValueError(
            f"has a moment for {', '.join(step.at)}; the clocks of the rule need one for {', '.join(units)}: {remedy} "
            "(an overlay that changes the unit of a clock names the steps too)"
        )
    return {unit: moment_of(step.at[unit]) for unit in units}


def after_due(rule: Rule) -> list[int]:
    """Return the indexes of the steps that count from the trigger and are after the due time of every clock of *rule*."""
    clocks = (rule.clock, *(case.clock for case in rule.cases))
    found = []
    for index, step in enumerate(rule.steps if rule.until is None else ()):
        moments = moments_of(rule, step)
        counted = [(moments[clock.unit].clock if moments[clock.unit].base == "trigger" else None, clock) for clock in clocks]
        if all(at is not None and _surely_longer(at, clock) for at, clock in counted):
            found.append(index)
    return found


_HOURS: Final[dict[Unit, tuple[float, float]]] = {
    "minute": (1 / 60, 1 / 60),
    "hour": (1, 1),
    "open-hour": (1, inf),
    "day": (24, 24),
    "business-day": (24, inf),
    "week": (168, 168),
    "month": (28 * 24, 31 * 24),
}
"""The shortest and the longest time that one unit can take, in hours. A clock in days or longer ends up to a day later."""


def _surely_longer(one: Clock, other: Clock) -> bool:
    """Return whether *one* ends after *other* whatever the day. A day of a clock change is an hour shorter or longer."""
    if one.unit == other.unit:
        return one.amount > other.amount
    shortest, longest = one.amount * _HOURS[one.unit][0] - 1, other.amount * _HOURS[other.unit][1]
    return shortest > longest + (1 if other.unit in {"minute", "hour"} else 25)


def moment_of(at: str) -> Moment:
    """Parse `Step.at`. Raises ValueError that says what to write instead."""
    match = _AT.match(at.strip())
    if match is None and at.rstrip().endswith("clock"):
        raise ValueError(f"{at!r} no longer exists: write an amount and a unit, for example due + 1 business-day")
    if match is None:
        raise ValueError(f"{at!r} is not a moment: write 50%, due, due + 1 business-day, due - 12 hour or trigger + 5 day")
    base, sign, amount, unit, percent = match.groups()
    if percent is not None:
        return Moment("share", share=int(percent) / 100, before_due=True)
    if sign is None and base == "trigger":
        raise ValueError(f"{at!r} is the opening itself and not a step: write for example trigger + 5 day")
    clock = None
    if sign is not None:
        try:
            clock = msgspec.convert({"amount": int(amount), "unit": unit}, Clock)
        except msgspec.ValidationError as wrong:
            hint = did_you_mean(unit, UNITS)
            raise ValueError(f"{at!r}: {unit} is not a unit of a clock; write one of {', '.join(UNITS)}{hint}") from wrong
    negative = sign == "-"
    if negative and clock is not None and clock.unit not in {"minute", "hour"}:
        raise ValueError(f"{at!r}: only minutes and hours can be counted back from due; write a share (50%) or trigger + 5 day")
    if negative and base == "trigger":
        raise ValueError(f"{at!r} is before the trigger: write for example trigger + 5 day")
    before_due = negative or base == "trigger"
    return Moment("due" if base == "due" else "trigger", sign=-1 if negative else 1, clock=clock, before_due=before_due)
