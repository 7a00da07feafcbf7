"""The events: one frozen record per fact, named in the past tense.

Owns the names and types that publishers, rules and readers share. The Avro files in `schemas/avro/events` have the
same fields, with a description and a unit for each; a test compares the two. Knows no care rules, no Kafka and no clock.
Every instant is an integer of milliseconds since 1970 in UTC (`Millis`), so that rules compare instants without time
zones. Only the calendar code converts to local time.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, NewType

import msgspec

Millis = NewType("Millis", int)
"""Milliseconds since 1970-01-01T00:00Z."""

PersonKey = NewType("PersonKey", str)
"""The pseudonym of a person: version prefix + base64url(HMAC-SHA-256). Never an identifier that a hospital assigned."""

Instant = Annotated[Millis, msgspec.Meta(extra={"unit": "ms"})]
"""A field that the JSON form writes as ISO 8601 with an offset and the Avro form as timestamp-millis."""


class _Part(msgspec.Struct, frozen=True, gc=False):
    """A part of an event."""


class _Fact(msgspec.Struct, frozen=True):
    """The data of an event, without its envelope."""


def record_name(kind: type[msgspec.Struct]) -> str:
    """Return the name of *kind* in the public schemas."""
    name: str = getattr(kind, "record_name", kind.__name__)
    return name


class EncounterRef(_Part, frozen=True):
    """A reference to an encounter. An empty `visit` refers to the person's only open encounter at `facility`."""

    record_name: ClassVar[str] = "Encounter"
    """The name in the released schemas. In Python, `Encounter` is the encounter in a person's state."""

    facility: str
    visit: str = ""


class Practitioner(_Part, frozen=True):
    id: str
    name: str = ""


class Party(_Part, frozen=True):
    """A practitioner, organization or caregiver in a role. With a role alone, it is the pool of that role."""

    role: str
    practitioner: Practitioner | None = None
    organization: str | None = None
    caregiver: str | None = None


class Member(_Part, frozen=True, rename={"from_": "from"}):
    """Membership in a care team from `from_` until `to`; None means without limit."""

    role: str
    party: Party
    from_: Instant | None = None
    to: Instant | None = None
    programme: str | None = None


class Diagnosis(_Part, frozen=True):
    system: str
    code: str
    rank: int = 0


class PersonRef(_Part, frozen=True):
    """A reference to another person, by key."""

    key: PersonKey


class Location(_Part, frozen=True):
    facility: str
    unit: str = ""
    level: str = ""


# ---- care.admission.v1


class EncounterPlanned(_Fact, frozen=True, rename={"class_": "class"}):
    encounter: EncounterRef
    class_: str
    start: Instant | None = None
    members: tuple[Member, ...] = ()


class PatientAdmitted(_Fact, frozen=True, rename={"class_": "class"}):
    encounter: EncounterRef
    class_: str
    via_emergency: bool | None = None
    attending: Practitioner | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    reason: str | None = None
    unit: str | None = None
    members: tuple[Member, ...] = ()
    registration: bool = False
    """True if the publisher only registers a visit (HL7 A04). Such an event never reopens a closed encounter."""
    planned: bool | None = None


class PatientTransferred(_Fact, frozen=True):
    encounter: EncounterRef
    to: Location
    members: tuple[Member, ...] = ()


class EncounterClassChanged(_Fact, frozen=True, rename={"class_": "class"}):
    encounter: EncounterRef
    class_: str
    members: tuple[Member, ...] = ()


class EncounterUpdated(_Fact, frozen=True, rename={"class_": "class"}):
    encounter: EncounterRef
    class_: str | None = None
    attending: Practitioner | None = None
    diagnoses: tuple[Diagnosis, ...] = ()
    disposition: str | None = None
    deceased: bool | None = None
    deceased_at: Instant | None = None
    leave: bool | None = None
    members: tuple[Member, ...] = ()


class AdmissionCancelled(_Fact, frozen=True):
    encounter: EncounterRef
    reason: str | None = None


class TransferCancelled(_Fact, frozen=True):
    encounter: EncounterRef
    reason: str | None = None


class PersonMerged(_Fact, frozen=True):
    """The person of the envelope was merged into the surviving person `into`."""

    into: PersonRef


class PersonUpdated(_Fact, frozen=True):
    deceased: bool | None = None
    deceased_at: Instant | None = None
    language: str | None = None
    address_region: str | None = None
    birth_date: str | None = None
    members: tuple[Member, ...] = ()


# ---- care.discharge.v1


class PatientDischarged(_Fact, frozen=True):
    encounter: EncounterRef
    disposition: str
    diagnoses: tuple[Diagnosis, ...] = ()
    procedures: tuple[str, ...] = ()
    complexity: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")
    deceased: bool | None = None
    members: tuple[Member, ...] = ()


class DischargeCancelled(_Fact, frozen=True):
    encounter: EncounterRef
    reason: str | None = None


# ---- care.referral.v1


class ReferralRequested(_Fact, frozen=True):
    referral: str
    requester: Party
    target: Party
    service: str
    priority: str = "routine"
    needed_by: Instant | None = None
    encounter: EncounterRef | None = None
    goal: str | None = None
    replaces: str | None = None


class ReferralChanged(_Fact, frozen=True):
    referral: str
    target: Party | None = None
    service: str | None = None
    priority: str | None = None
    needed_by: Instant | None = None
    goal: str | None = None


class ReferralStatusChanged(_Fact, frozen=True):
    referral: str
    status: str
    by: str
    business_status: str | None = None
    reason: str | None = None


class AppointmentChanged(_Fact, frozen=True):
    appointment: str
    status: str
    start: Instant | None = None
    referral: str | None = None
    purpose: str | None = None
    end: Instant | None = None


# ---- care.goal.v1


class GoalUpdated(_Fact, frozen=True):
    goal: str
    lifecycle_status: str
    description: str = ""
    expressed_by: str = ""
    accepted_by_person: bool | None = None
    owner: Party | None = None
    achievement_status: str | None = None
    priority: str | None = None
    weight: float | None = None
    attainment: int | None = None
    setting: str | None = None
    reviewed: bool | None = None
    """True if this is a review of the goal, even if nothing else changed (FHIR Goal.statusDate is newer)."""


# ---- care.team.v1


class CareTeamChanged(_Fact, frozen=True):
    members: tuple[Member, ...]
    replace: bool = False


class ConsentChanged(_Fact, frozen=True):
    decision: str
    recipient: str | None = None
    purpose: str | None = None
    sensitivity: str | None = None


# ---- care.activity.v1


class CareActivityRecorded(_Fact, frozen=True):
    activity: str
    code: str
    status: str
    start: Instant
    performer: Party
    end: Instant | None = None
    based_on: tuple[str, ...] = ()
    encounter: EncounterRef | None = None
    outcome: str | None = None


class ObservationRecorded(_Fact, frozen=True):
    code: str
    value: float
    unit: str
    effective: Instant


class ConditionRecorded(_Fact, frozen=True):
    code: str
    system: str
    clinical_status: str


# ---- care.response.v1


class TaskAcknowledged(_Fact, frozen=True):
    task: str
    by: Party


class TaskClaimed(_Fact, frozen=True):
    task: str
    by: Party


class TaskReassigned(_Fact, frozen=True):
    task: str
    by: Party
    to: Party


class TaskSnoozed(_Fact, frozen=True):
    task: str
    by: Party
    until: Instant
    reason: str


class TaskCompleted(_Fact, frozen=True):
    task: str
    by: Party
    outcome: str = ""


class TaskDeclined(_Fact, frozen=True):
    task: str
    by: Party
    reason: str


class TaskEscalated(_Fact, frozen=True):
    task: str
    by: Party
    reason: str


class OutreachAttempted(_Fact, frozen=True):
    task: str
    by: Party
    outcome: str


# ---- care.delivery.v1


class NotificationQueued(_Fact, frozen=True):
    notification: str
    recipient: str
    channel: str


class NotificationDelivered(_Fact, frozen=True):
    notification: str
    recipient: str
    channel: str


class NotificationFailed(_Fact, frozen=True):
    notification: str
    recipient: str
    channel: str
    reason: str


# ---- care.relay.v1, written by shards only


class PersonStateMoved(_Fact, frozen=True):
    """The whole state of a merged person, sent to the shard of the surviving person."""

    origin: PersonKey
    state: bytes


class RecordRelayed(_Fact, frozen=True):
    """An unchanged record that arrived in a partition that does not match its key, sent to the shard of its key."""

    topic: str
    partition: int
    offset: int
    timestamp: Instant
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Event(msgspec.Struct, frozen=True):
    """The envelope (CloudEvents attributes) around one fact.

    `time` is when the fact happened. `arrival` is when CareRelay received it: the broker's append time in the worker,
    `recorded` in a replay. `backfill` marks historical data: it updates the state but starts no deadline and notifies
    nobody.
    """

    id: str
    source: str
    time: Millis
    arrival: Millis
    person: PersonKey
    data: msgspec.Struct
    backfill: bool = False

    @property
    def type(self) -> str:
        """The name of the fact, as in `ce_type`."""
        return type(self.data).__name__
