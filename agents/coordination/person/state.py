"""A person's state: what is remembered, and how it is packed.

Owns the shapes and the packed form. Must not know any rule, what an event does to a state or what is forgotten when.

Every record is an array without field names and short defaults, because a million of these are held in memory. Fields are
only ever added at the end, with a default: release N then reads what N + 1 wrote and ignores what it does not know. Where a
field changes its meaning the state's version is raised, and the version before it is still read (`version_1.py`).
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
"""The first byte of a packed state. A higher one is written by a release that changed the meaning of a field."""

NEVER: Final = 0x7FFF_FFFF_FFFF_FFFF
"""The deadline of a person who has none."""

_HEAD: Final = struct.Struct(">BqH")
HEAD_BYTES: Final = _HEAD.size


class Alert(NamedTuple):
    """A notification that went out about a handoff."""

    notification: bytes
    recipient: str
    """An address (role/kind:id)."""


class Subject(NamedTuple):
    """What a handoff is about, as its rule's subject says: an encounter, a record beside it, or a notification."""

    encounter: int
    focus: str | None
    notification: bytes | None


class End(msgspec.Struct, array_like=True, gc=False):
    """How and when a handoff ended."""

    closure: str
    at: int
    """Arrival of what closed it, for the late window."""
    happened: int
    """Event time of what closed it, so that an earlier event that arrives later can correct met-late to met."""
    by_encounter: int = 0
    """The encounter that superseded it or made it pointless; if that is taken back the handoff is open again."""
    by_death: bool = False
    """The person's record said that they had died, and no encounter did; if that is taken back the handoff is open again."""


class Handoff(msgspec.Struct, array_like=True, gc=False):
    """A handoff from its opening until its late window is over."""

    id: bytes
    rule: str
    version: int
    opened_at: int
    due: int
    owner: str
    """An address (role/kind:id)."""
    cause_id: str = ""
    """The id of the event that opened it; empty where it is a UUID: `cause_uuid` holds its 16 bytes then."""
    cause_uuid: bytes = b""
    encounter: int = 0
    focus: str | None = None
    """The id of the referral, goal or appointment that it is about (FHIR Task.focus), as its rule's subject says."""
    notification: bytes | None = None
    """The id of the notification that it asks somebody to acknowledge."""
    organisation: str = ""
    """Whose rules apply, where no stay says it."""
    calendar: str = ""
    """Whose zone and holidays apply, where it is another organisation than that."""
    opened_by: int = 0
    """Index into `OPENERS`: what a cancellation must look for."""
    unit: int = 0
    """Index into `handoff.UNITS`: the unit of the clock, by which texts say when it is due."""
    next_at: int = 0
    """When the next step of the ladder is reached; 0: there is none."""
    next_step: int = 0
    """Index of the step in the rule's ladder that comes next; 0 again when the clock starts again. Not published."""
    step: int = 0
    """How many steps have been taken, as published. An escalation that somebody asked for counts too, so it differs from
    `next_step`; a step whose conditions did not hold does not count."""
    status: int = 0
    """Index into `TASK_STATUS`."""
    gap: int = 0
    """0 nothing shown, 1 due-soon, 2 open."""
    alerts: tuple[Alert, ...] = ()
    progress: tuple[int, ...] = ()
    """How many events of each closing were seen, where a rule needs several."""
    snoozed: int = 0
    owned_at: int = 0
    """Event time of the newest word that changed whose it is, or 0: an older one that arrives later changes nothing."""
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
        """Arrival of what closed it; 0 while it is open."""
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
"""What opened a handoff, as far as it can be taken back."""

TASK_STATUS: Final = (
    *("requested", "received", "accepted", "in-progress", "on-hold", "completed", "cancelled", "rejected", "failed"),
    "draft",
)
"""The states of FHIR Task that a handoff takes (R4, codesystem task-status)."""


class TeamMember(msgspec.Struct, array_like=True, gc=False):
    """A seat in the care team."""

    role: str
    party: str
    """kind:id, for example `practitioner:8801`; empty where only a role is named."""
    from_: int = 0
    to: int = 0
    asserted: int = 0
    """Event time of the care team's own event; 0: only a message said so (provisional)."""
    programme: str = ""
    organisation: str = ""


class Consent(msgspec.Struct, array_like=True, gc=False):
    permit: bool
    at: int
    recipient: str = ""
    purpose: str = ""
    sensitivity: str = ""


class NotificationRecord(msgspec.Struct, array_like=True, gc=False):
    """One notice and everybody who got it; the ids follow from the cause, the rule and the recipient."""

    cause: bytes
    """The identity of the event (`ids.identity`)."""
    rule: str
    encounter: int
    at: int
    kind: int
    """What kind of event it told of, as far as it can be taken back: an index into `OPENERS`."""
    recipients: tuple[str, ...]
    version: int = 1

    def notification(self, recipient: str) -> str:
        """Return the id of the notification that *recipient* got."""
        return derive(self.cause.hex(), self.rule, recipient)


class Recent(msgspec.Struct, array_like=True, gc=False):
    """An event that may close or end something whose trigger has not arrived yet."""

    type: str
    id: str
    source: str
    time: int
    arrival: int
    fact: bytes


class SaidAt(msgspec.Struct, array_like=True, gc=False):
    """Event times at which what may change of a referral was last said; 0: never."""

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
    """The earlier referral that this one doubles."""
    said_at: SaidAt | None = None
    waiting: tuple[Recent, ...] = ()
    """Refused moves that came before the one that makes them legal."""


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
    """Event time since which the person is working on it, or 0."""
    achieved: tuple[tuple[int, str], ...] = ()
    """The newest achievement statuses with their event times, in the order in which they were found."""


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
    """What the person's record says of them, by its newest word."""

    language: str = ""
    region: str = ""
    birth_date: str = ""
    at: int = 0
    """Event time of that word."""


class Person(msgspec.Struct, array_like=True, gc=False):
    """Everything that is remembered of one person."""

    key: PersonKey
    encounters: list[Encounter] = []
    handoffs: list[Handoff] = []
    members: list[TeamMember] = []
    notifications: list[NotificationRecord] = []
    seen: bytes = b""
    """Entries of 12 bytes: 8 of the event's hash, 3 of its arrival in hours, 1 that counts repeats."""
    recent: list[Recent] = []
    consents: list[Consent] = []
    referrals: list[Referral] = []
    goals: list[Goal] = []
    appointments: list[Appointment] = []
    deceased: int = 0
    """Event time of death as known; 0: alive."""
    deceased_encounter: int = 0
    """The stay whose discharge said so; its cancellation takes that back."""
    into: str = ""
    """The key that this person goes on as; everything else is empty then."""
    stay_count: int = 0
    prune_at: int = 0
    team_at: int = 0
    """Event time of the newest team that was said to be the whole one."""
    history_incomplete: bool = False
    """An event of this person could not be applied by us (rule failed): deadlines still run, but something may be missing."""
    demographics: Demographics | None = None
    conditions: tuple[tuple[str, str, str], ...] = ()
    """system, code, clinical status of the problem list."""
    observations: tuple[tuple[str, float, str, int], ...] = ()
    """code, value, unit, effective time: the newest of each code."""

    def encounter_numbered(self, number: int) -> Encounter | None:
        """Return the encounter with this number, or None. No encounter has the number 0."""
        for encounter in self.encounters if number else ():
            if encounter.number == number:
                return encounter
        return None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Person).decode


class UnreadableStateError(Exception):
    """The state was written by a release whose meaning is not known here: ours to mend, never to skip."""


def pack(person: Person) -> bytes:
    """Return *person* as a version byte, eight bytes of the next deadline, two of the open handoffs, and MessagePack."""
    return _HEAD.pack(STATE_VERSION, _deadline(person), sum(h.end is None for h in person.handoffs)) + _encode(person)


def unpack(packed: bytes) -> Person:
    """Return the person in *packed*. Raises UnreadableStateError for a newer state version or bytes that are no state."""
    if len(packed) < HEAD_BYTES or not 1 <= packed[0] <= STATE_VERSION:
        raise UnreadableStateError(
            f"state version {packed[0] if packed else 'none'} is not known; this release reads up to {STATE_VERSION}"
        )
    body = memoryview(packed)[HEAD_BYTES:]
    try:
        return _decode(body) if packed[0] == STATE_VERSION else msgspec.convert(from_version_1(msgspec.msgpack.decode(body)), Person)
    except (msgspec.MsgspecError, LookupError, TypeError) as broken:
        raise UnreadableStateError("these bytes are no person's state") from broken


def packed_deadline(packed: bytes) -> Millis | None:
    """Return the next deadline of a packed state without decoding it: a restore reads a million of these."""
    deadline: int = _HEAD.unpack_from(packed)[1]
    return None if deadline == NEVER else Millis(deadline)


def packed_open(packed: bytes) -> int:
    """Return how many handoffs of a packed state are open, without decoding it."""
    return packed[9] << 8 | packed[10]


def next_deadline(person: Person) -> Millis | None:
    """Return the instant of the person's earliest deadline, a step of a ladder or a pruning, or None."""
    deadline = _deadline(person)
    return None if deadline == NEVER else Millis(deadline)


def _deadline(person: Person) -> int:
    earliest = person.prune_at or NEVER
    for handoff in person.handoffs:
        at = handoff.next_at
        if at and at < earliest:
            earliest = at
    return earliest
