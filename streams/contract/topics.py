"""The topics. No other file contains the name of a topic.

Owns names, event types, retention, writers and readers. All inbound topics have the same number of partitions and the
same partitioner, because a shard is one partition of every inbound topic: shard 3 is partition 3 of each.
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
    """A topic: its description, record types, writers, readers and configuration.

    `rank` orders records of the same instant, so that a team or an admission comes before the records that refer to it.
    Topics that shards do not read have the rank -1.
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
        """Return whether shards read this topic."""
        return self.rank >= 0


TEAM = Topic("care.team.v1", "care teams and consent", (e.CareTeamChanged, e.ConsentChanged), "hospitals, practices", "coordination", 0)
ADMISSION = Topic(
    "care.admission.v1",
    "encounters start, move and change; persons change and merge",
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
DISCHARGE = Topic("care.discharge.v1", "encounters end", (e.PatientDischarged, e.DischargeCancelled), "hospitals", "coordination", 2)
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
    "delivery status of notifications",
    (e.NotificationQueued, e.NotificationDelivered, e.NotificationFailed),
    "delivery",
    "coordination",
    6,
)
RESPONSE = Topic(
    "care.response.v1",
    "actions of coordinators",
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
    "states and records that one shard sends to another",
    (e.PersonStateMoved, e.RecordRelayed),
    "coordination",
    "coordination",
    8,
    config={"max.message.bytes": str(4 << 20)},
)

NOTIFICATION = Topic(
    "care.notification.v1",
    "notifications and withdrawals",
    (x.NotificationIssued, x.NotificationWithdrawn),
    "coordination, feeds",
    "delivery, worklist",
)
TASK = Topic(
    "care.task.v1",
    "the current state of each task, by handoff id",
    (x.TaskState,),
    "coordination",
    "worklist",
    compacted=True,
    retention_days=None,
)
GAP = Topic(
    "care.gap.v1",
    "the current state of each gap, by handoff id",
    (x.GapState,),
    "coordination",
    "worklist",
    compacted=True,
    retention_days=None,
)
# This limit is larger than that for publishers, because a dead letter adds headers to the whole original record.
_LARGE_MESSAGES = {"max.message.bytes": str(4 << 20)}
DEAD_LETTER = Topic(
    "care.dead-letter.v1",
    "records that could not be processed, unchanged, with the reason",
    (),
    "coordination",
    "operators",
    retention_days=90,
    config=_LARGE_MESSAGES,
)
AUDIT = Topic("care.audit.v1", "suppressed notifications", (x.EffectSuppressed,), "coordination", "auditors", retention_days=None)
STATE = Topic(
    "care.coordination.state.v1",
    "persons' state, positions and claims of the shards",
    (),
    "coordination",
    "coordination",
    compacted=True,
    retention_days=None,
    # A restore reads the whole topic. These settings make the broker compact it soon, so that there is less to read.
    config={
        "max.message.bytes": str(4 << 20),
        "segment.bytes": str(64 << 20),
        "max.compaction.lag.ms": "3600000",
        "min.cleanable.dirty.ratio": "0.1",
    },
)
FEED = Topic(
    "care.feed.v1", "when a source last sent a message, from each shard at most once a minute", (x.FeedHeard,), "coordination", "feeds"
)
FEEDS_STATE = replace(
    STATE, name="care.feeds.state.v1", about="state of each source, positions and claims", writers="feeds", readers="feeds"
)
QUARANTINE = Topic("care.quarantine.v1", "raw HL7 messages that were refused", (), "intake", "operators", retention_days=90)
INTAKE = Topic("care.intake.v1", "reserved: messages from publishers that must not have the key secret", (), "publishers", "intake")

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
"""The outbound topic of each effect type that has one."""
KEYED_BY_HANDOFF = frozenset((*TASK.types, *GAP.types))
"""The effects with the handoff's id as key, so that compaction keeps the latest one. Other effects have the person key."""
