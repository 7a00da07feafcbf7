"""A person's state and its packed form.

Owns the records of a person, except encounters (`encounter.py`), and the packing. Must not know any rule, what an event does to
a state, or how long a record is kept.

Records are arrays without field names, because a worker holds a million states in memory. New fields are added at the end and
with a default, so that release N can read what release N + 1 wrote: it ignores the fields that it does not know. If the meaning
of a field changes, the state's version is raised, and the previous version can still be read (`version_1.py`).
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import msgspec

from agents.coordination.person.encounter import Encounter
from agents.coordination.person.version_1 import from_version_1
from agents.coordination.reference.ids import derive, uuid_text
from streams.contract.events import Millis, PersonKey

STATE_VERSION: Final = 2
"""The first byte of a packed state. A release that changes the meaning of a field raises it."""

NEVER: Final = 0x7FFF_FFFF_FFFF_FFFF
"""The packed deadline of a person without a deadline."""

_HEAD: Final = struct.Struct(">BqH")
HEAD_BYTES: Final = _HEAD.size


class Alert(NamedTuple):
    """A notification that was issued about a handoff."""

    notification: bytes
    recipient: str
    """An address (role/kind:id)."""


class Subject(NamedTuple):
    """What a handoff is about: an encounter; a referral, goal or appointment (`focus`); or a notification. If all are empty: the person."""

    encounter: int
    focus: str | None
    notification: bytes | None


class End(msgspec.Struct, array_like=True, gc=False):
    """How and when a handoff ended."""

    closure: str
    at: int
    """Arrival time of the closing event. The late window starts here."""
    happened: int
    """Event time of the closing event. An earlier closing event that arrives later can correct met-late to met."""
    by_encounter: int = 0
    """Number of the encounter whose event ended the handoff. If that encounter is cancelled, the handoff reopens."""
    by_death: bool = False
    """Whether it ended because of a death that was not reported by a discharge. If the report is withdrawn, the handoff reopens."""


class Handoff(msgspec.Struct, array_like=True, gc=False):
    """A handoff, from its opening to the end of its late window."""

    id: bytes
    rule: str
    version: int
    opened_at: int
    due: int
    owner: str
    """An address (role/kind:id)."""
    cause_id: str = ""
    """Id of the event that opened it; empty if that id is a UUID."""
    cause_uuid: bytes = b""
    """The 16 bytes of that id if it is a UUID."""
    encounter: int = 0
    focus: str | None = None
    """Id of the referral, goal or appointment that it is about (FHIR Task.focus)."""
    notification: bytes | None = None
    """Id of the notification whose recipient has to acknowledge it."""
    organisation: str = ""
    """Id of the organisation whose rules apply, if no encounter determines it."""
    calendar: str = ""
    """Id of the organisation whose time zone and holidays apply, if that is a different organisation."""
    opened_by: int = 0
    """Index into `OPENERS`: the type of the opening event. If that event is cancelled, its handoffs are found by this type."""
    unit: int = 0
    """Index into `handoff.UNITS`: the unit of the clock, which decides how texts write the due time."""
    next_at: int = 0
    """When the next step is due; 0: no step is left."""
    next_step: int = 0
    """Index of the next step in the rule's ladder; 0 again when the clock restarts. Not published."""
    step: int = 0
    """How many steps were taken, as published. It differs from `next_step`: an escalation on request counts as a step, but a step
    whose conditions did not hold is not counted."""
    status: int = 0
    """Index into `TASK_STATUS`."""
    gap: int = 0
    """The published state of the gap. 0: none, 1: due-soon, 2: open."""
    alerts: tuple[Alert, ...] = ()
    progress: tuple[int, ...] = ()
    """For each closing of the rule: how many of its events were seen. Empty if one event is enough."""
    snoozed: int = 0
    owned_at: int = 0
    """Event time of the newest event that changed the owner, or 0. An older event that arrives later does not change the owner."""
    end: End | None = None
    """None while it is open."""

    @property
    def cause(self) -> str:
        """The id of the event that opened it."""
        return uuid_text(self.cause_uuid) if self.cause_uuid else self.cause_id

    @property
    def subject(self) -> Subject:
        """What it is about."""
        return Subject(self.encounter, self.focus, self.notification)

    @property
    def closure(self) -> str:
        """How it ended: met, met-late, cancelled, superseded or not-applicable; empty while it is open."""
        return "" if self.end is None else self.end.closure

    @property
    def closed_at(self) -> int:
        """Arrival time of the event that closed it; 0 while it is open."""
        return 0 if self.end is None else self.end.at


OPENERS: Final = (
    "",
    "PatientAdmitted",
    "PatientDischarged",
    "PatientTransferred",
    "EncounterClassChanged",
    "EncounterUpdated",
    "NotificationIssued",
)
"""Types of opening events that can be withdrawn. The empty string is for all other types."""

TASK_STATUS: Final = (
    *("requested", "received", "accepted", "in-progress", "on-hold", "completed", "cancelled", "rejected", "failed"),
    "draft",
)
"""The FHIR Task statuses that a handoff uses (R4, codesystem task-status)."""


class TeamMember(msgspec.Struct, array_like=True, gc=False):
    """A member of the care team."""

    role: str
    party: str
    """kind:id, for example `practitioner:8801`; empty if only a role is named."""
    from_: int = 0
    to: int = 0
    asserted: int = 0
    """Event time of the care-team event that named the member; 0: provisional, only other messages mention the member."""
    programme: str = ""
    organisation: str = ""


class Consent(msgspec.Struct, array_like=True, gc=False):
    permit: bool
    at: int
    recipient: str = ""
    purpose: str = ""
    sensitivity: str = ""


class NotificationRecord(msgspec.Struct, array_like=True, gc=False):
    """One notification and all its recipients. Its ids are derived from the cause, the rule and the recipient."""

    cause: bytes
    """The identity of the event (`ids.identity`)."""
    rule: str
    encounter: int
    at: int
    kind: int
    """Type of the event that it reports: an index into `OPENERS`."""
    recipients: tuple[str, ...]
    version: int = 1

    def notification(self, recipient: str) -> str:
        """Return the id of the notification to *recipient*."""
        return derive(self.cause.hex(), self.rule, recipient)


class Recent(msgspec.Struct, array_like=True, gc=False):
    """An event that may close or end a handoff whose trigger has not arrived yet."""

    type: str
    id: str
    source: str
    time: int
    arrival: int
    fact: bytes


class FieldTimes(msgspec.Struct, array_like=True, gc=False):
    """For each field of a referral that can change: the event time of its newest value, or 0 if it was not reported."""

    target: int = 0
    service: int = 0
    priority: int = 0
    needed_by: int = 0
    goal: int = 0


class Referral(msgspec.Struct, array_like=True, gc=False):
    id: str
    status: str = ""
    business_status: str = ""
    requester: str = ""
    target: str = ""
    requester_organisation: str = ""
    target_organisation: str = ""
    service: str = ""
    priority: str = "routine"
    requested: int = 0
    status_at: int = 0
    needed_by: int = 0
    encounter: int = 0
    goal: str = ""
    touched: int = 0
    previous_status: str = ""
    setter: str = ""
    linked: str = ""
    """Id of the earlier referral that this one duplicates."""
    field_times: FieldTimes | None = None
    waiting: tuple[Recent, ...] = ()
    """Refused status changes. A change becomes legal if the change that must precede it arrives later."""


class Goal(msgspec.Struct, array_like=True, gc=False):
    id: str
    status: str = ""
    words: str = ""
    expressed_by: str = ""
    owner: str = ""
    achievement: str = ""
    at: int = 0
    accepted: bool | None = None
    setting: str = ""
    reviewed: int = 0
    setbacks: int = 0
    weight: float = 1.0
    attainment: int | None = None
    priority: str = ""
    since: int = 0
    """Event time at which it became accepted or active, or 0."""
    achieved: tuple[tuple[int, str], ...] = ()
    """The newest achievement statuses with their event times, oldest first."""


class Appointment(msgspec.Struct, array_like=True, gc=False):
    id: str
    status: str = ""
    start: int = 0
    referral: str = ""
    purpose: str = ""
    at: int = 0
    touched: int = 0
    end: int = 0


class Demographics(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The newest demographics of the person."""

    language: str = ""
    region: str = ""
    birth_date: str = ""
    at: int = 0
    """Event time of the newest update."""


class Person(msgspec.Struct, array_like=True, gc=False):
    """Everything that is kept about one person."""

    key: PersonKey
    encounters: list[Encounter] = []
    handoffs: list[Handoff] = []
    members: list[TeamMember] = []
    notifications: list[NotificationRecord] = []
    seen: bytes = b""
    """Entries of 12 bytes: 8 for the event's hash, 3 for its arrival in hours, 1 for the number of repeats."""
    recent: list[Recent] = []
    consents: list[Consent] = []
    referrals: list[Referral] = []
    goals: list[Goal] = []
    appointments: list[Appointment] = []
    deceased: int = 0
    """Event time of the death; 0: alive."""
    deceased_encounter: int = 0
    """Number of the encounter whose discharge reported the death. The cancellation of that discharge withdraws the report."""
    into: str = ""
    """Key of the person that this one was merged into. All other fields are then empty."""
    stay_count: int = 0
    prune_at: int = 0
    team_at: int = 0
    """Event time of the newest event that listed the whole care team."""
    history_incomplete: bool = False
    """Whether a rule failed and an event could not be applied. Deadlines still run, but data may be missing."""
    demographics: Demographics | None = None
    conditions: tuple[tuple[str, str, str], ...] = ()
    """The problem list: system, code, clinical status."""
    observations: tuple[tuple[str, float, str, int], ...] = ()
    """The newest observation of each code: code, value, unit, effective time."""

    def encounter_numbered(self, number: int) -> Encounter | None:
        """Return the encounter with this number, or None. No encounter has the number 0."""
        for encounter in self.encounters if number else ():
            if encounter.number == number:
                return encounter
        return None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Person).decode


class UnreadableStateError(Exception):
    """This release cannot read the state. The event that is being applied is not at fault, so it must not be skipped."""


def pack(person: Person) -> bytes:
    """Return *person* as a version byte, the next deadline (8 bytes), the number of open handoffs (2 bytes), and MessagePack."""
    return _HEAD.pack(STATE_VERSION, _deadline(person), sum(h.end is None for h in person.handoffs)) + _encode(person)


def unpack(packed: bytes) -> Person:
    """Return the person in *packed*. Raises UnreadableStateError for a newer state version or for bytes that are not a state."""
    if len(packed) < HEAD_BYTES or not 1 <= packed[0] <= STATE_VERSION:
        raise UnreadableStateError(
            f"state version {packed[0] if packed else 'none'} is unknown: this release reads versions up to {STATE_VERSION}"
        )
    body = memoryview(packed)[HEAD_BYTES:]
    try:
        return _decode(body) if packed[0] == STATE_VERSION else msgspec.convert(from_version_1(msgspec.msgpack.decode(body)), Person)
    except (msgspec.MsgspecError, LookupError, TypeError) as broken:
        raise UnreadableStateError("these bytes are not a person's state") from broken


def packed_deadline(packed: bytes) -> Millis | None:
    """Return the next deadline of a packed state without decoding it, because opening a shard may read a million states."""
    deadline: int = _HEAD.unpack_from(packed)[1]
    return None if deadline == NEVER else Millis(deadline)


def packed_open(packed: bytes) -> int:
    """Return how many handoffs of a packed state are open, without decoding it."""
    return packed[9] << 8 | packed[10]


def next_deadline(person: Person) -> Millis | None:
    """Return the person's earliest deadline, which is a step of a handoff or a pruning, or None."""
    deadline = _deadline(person)
    return None if deadline == NEVER else Millis(deadline)


def _deadline(person: Person) -> int:
    earliest = person.prune_at or NEVER
    for handoff in person.handoffs:
        at = handoff.next_at
        if at and at < earliest:
            earliest = at
    return earliest
