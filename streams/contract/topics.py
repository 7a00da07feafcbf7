"""The topics: one row each. No other file spells a topic's name.

Owns names, event types, retention and who writes and reads. All inbound topics have the same number of partitions and
the same partitioner, because a shard is partition *i* of every one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from streams.contract import effects as x
from streams.contract import events as e

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """A row of the table.

    `rank` breaks ties between records of one instant: a team or an admission is known before what refers to it.
    """

    name: str
    about: str
    types: tuple[type[msgspec.Struct], ...] = ()
    writers: str = ""
    readers: str = ""
    rank: int = -1
    compacted: bool = False
    retention_days: int | None = 28
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def inbound(self) -> bool:
        """Say whether shards read it."""
        return self.rank >= 0


TEAM = Topic("care.team.v1", "care teams and consent", (e.CareTeamChanged, e.ConsentChanged), "hospitals, practices", "coordination", 0)
ADMISSION = Topic(
    "care.admission.v1",
    "stays begin, move and change; persons change and merge",
    (
        e.EncounterPlanned,
        e.PatientAdmitted,
        e.PatientTransferred,
        e.EncounterClassChanged,
        e.EncounterUpdated,
        e.AdmissionCancelled,
        e.TransferCancelled,
        e.PersonMerged,
        e.PersonUpdated,
    ),
    "hospitals",
    "coordination",
    1,
)
DISCHARGE = Topic("care.discharge.v1", "stays end", (e.PatientDischarged, e.DischargeCancelled), "hospitals", "coordination", 2)
REFERRAL = Topic(
    "care.referral.v1",
    "referrals and appointments",
    (e.ReferralRequested, e.ReferralChanged, e.ReferralStatusChanged, e.AppointmentChanged),
    "hospitals, practices, community services",
    "coordination",
    3,
)
GOAL = Topic("care.goal.v1", "goals in the person's own words", (e.GoalUpdated,), "everyone in the care team", "coordination", 4)
ACTIVITY = Topic(
    "care.activity.v1",
    "care given, observations, conditions",
    (e.CareActivityRecorded, e.ObservationRecorded, e.ConditionRecorded),
    "everyone who gives care",
    "coordination",
    5,
)
DELIVERY = Topic(
    "care.delivery.v1",
    "what became of notifications",
    (e.NotificationQueued, e.NotificationDelivered, e.NotificationFailed),
    "delivery",
    "coordination",
    6,
)
RESPONSE = Topic(
    "care.response.v1",
    "what coordinators do",
    (
        e.TaskAcknowledged,
        e.TaskClaimed,
        e.TaskReassigned,
        e.TaskSnoozed,
        e.TaskCompleted,
        e.TaskDeclined,
        e.TaskEscalated,
        e.OutreachAttempted,
    ),
    "worklist",
    "coordination",
    7,
)
RELAY = Topic(
    "care.relay.v1",
    "from shard to shard",
    (e.PersonStateMoved, e.RecordRelayed),
    "coordination",
    "coordination",
    8,
    config={"max.message.bytes": str(4 << 20)},
)

NOTIFICATION = Topic(
    "care.notification.v1",
    "who is told what, and why; and what is withdrawn",
    (x.NotificationIssued, x.NotificationWithdrawn),
    "coordination, feeds",
    "delivery, worklist",
)
TASK = Topic(
    "care.task.v1", "each task as it stands, key = its id", (x.TaskState,), "coordination", "worklist", compacted=True, retention_days=None
)
GAP = Topic(
    "care.gap.v1", "each gap as it stands, key = its id", (x.GapState,), "coordination", "worklist", compacted=True, retention_days=None
)
# Larger than what publishers may send: a dead letter or a relayed record is the record as it was, with more around it.
ROOMY = {"max.message.bytes": str(4 << 20)}
DEAD_LETTER = Topic(
    "care.dead-letter.v1",
    "what could not be processed, as it was, with the reason",
    (),
    "coordination",
    "operators",
    retention_days=90,
    config=ROOMY,
)
AUDIT = Topic("care.audit.v1", "what was suppressed, merged, moved", (x.EffectSuppressed,), "coordination", "auditors", retention_days=None)
STATE = Topic(
    "care.coordination.state.v1",
    "persons' state, positions and claims of the shards",
    (),
    "coordination",
    "coordination",
    compacted=True,
    retention_days=None,
    # A restore reads the whole topic: without these it would read history that compaction has not reached yet.
    config={
        "max.message.bytes": str(4 << 20),
        "segment.bytes": str(64 << 20),
        "max.compaction.lag.ms": "3600000",
        "min.cleanable.dirty.ratio": "0.1",
    },
)
FEED = Topic("care.feed.v1", "when a source was last heard, from each shard at most once a minute", (x.FeedHeard,), "coordination", "feeds")
FEEDS_STATE = replace(
    STATE, name="care.feeds.state.v1", about="what is usual of each source, positions and claims", writers="feeds", readers="feeds"
)
QUARANTINE = Topic("care.quarantine.v1", "raw HL7 that could not be read", (), "intake", "operators", retention_days=90)
INTAKE = Topic("care.intake.v1", "reserved: from publishers that may not hold the key secret", (), "publishers", "intake")

TOPICS: tuple[Topic, ...] = (
    TEAM,
    ADMISSION,
    DISCHARGE,
    REFERRAL,
    GOAL,
    ACTIVITY,
    DELIVERY,
    RESPONSE,
    RELAY,
    NOTIFICATION,
    TASK,
    GAP,
    DEAD_LETTER,
    AUDIT,
    STATE,
    FEED,
    FEEDS_STATE,
    QUARANTINE,
    INTAKE,
)
INBOUND: tuple[Topic, ...] = tuple(t for t in TOPICS if t.inbound)
TOPIC_OF: Mapping[str, Topic] = {kind.__name__: topic for topic in INBOUND for kind in topic.types}
"""The inbound topic of each event type, by the type's name."""
FACT_OF: Mapping[str, type[msgspec.Struct]] = {kind.__name__: kind for topic in INBOUND for kind in topic.types}
TOPIC_OF_EFFECT: Mapping[type[msgspec.Struct], str] = {
    kind: topic.name for topic in (NOTIFICATION, TASK, GAP, AUDIT) for kind in topic.types
}
"""The outbound topic of each effect that has one."""
KEYED_BY_HANDOFF = frozenset((*TASK.types, *GAP.types))
"""Effects whose key is their handoff's id: a read model keeps the newest of each. The others go under the person."""
