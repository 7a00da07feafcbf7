"""Routing: which event tells which roles, by the rows of the routing table; and taking back what was told.

Owns notices from their row to the record of who was told. Must not know how a handoff runs; what a notice asks of its
recipient is a rule's matter, triggered by the notice.
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import asked_of, close, rule_of
from agents.coordination.handoffs.notify import tell
from agents.coordination.handoffs.opening import open_all
from agents.coordination.person.encounter import Encounter
from agents.coordination.person.goal_states import OPEN_STATUSES
from agents.coordination.person.state import OPENERS, NotificationRecord
from agents.coordination.reference.ids import uuid_bytes, uuid_text
from agents.coordination.rules.catalogue import holds
from agents.coordination.rules.world import Context
from streams.contract.address import Address
from streams.contract.effects import GoalWords

_WITH_GOALS = frozenset({"PatientAdmitted", "PatientDischarged", "EncounterClassChanged"})


def announce(draft: EffectsDraft, context: Context) -> bool:
    """Tell whom the first row that holds says; say whether one did. A handoff that a notice asks for is opened with it."""
    for compiled in context.world.catalogue.notices.get(context.kind, ()):
        if not holds(compiled.tests, context):
            continue
        notice = compiled.notice
        person = context.person
        goals: tuple[GoalWords, ...] = ()
        if context.kind in _WITH_GOALS and person.goals:
            goals = tuple(GoalWords(g.id, g.words, g.expressed_by) for g in person.goals if g.status in OPEN_STATUSES and g.words)
        issued = tell(
            draft,
            context,
            notice.tells,
            rule=notice.id,
            version=notice.version,
            title=notice.title,
            neutral_title=notice.neutral_title,
            why=f"{notice.id}: {draft.words}.",
            urgency=notice.urgency,
            purpose=notice.purpose,
            sensitivity=notice.sensitivity,
            goals=goals,
            delivery=notice.delivery,
        )
        if issued:
            encounter = context.encounter.number if context.encounter is not None else 0
            kind = OPENERS.index(context.kind) if context.kind in OPENERS else 0
            person.notifications.append(
                NotificationRecord(
                    bytes.fromhex(draft.seed), notice.id, encounter, context.at, kind, tuple(n.recipient for n in issued), notice.version
                )
            )
        for notification in issued:
            opened = open_all(draft, replace(context, issued=notification))
            asked = asked_of(notification, opened)
            if asked is not None and notification.asks_acknowledgement:
                index = draft.effects.index(notification)
                draft.effects[index] = replace(notification, handoff=uuid_text(asked.id))
        return True
    return False


def take_back(draft: EffectsDraft, context: Context, encounter: Encounter, kind: str, why: str) -> None:
    """Withdraw what was told of *stay* (only of events of *kind*, unless that is empty) from exactly those who were told."""
    person = context.person
    kept = []
    only = OPENERS.index(kind)
    moved_at = encounter.cancels[-1].took_back if kind == "PatientTransferred" else 0
    for record in person.notifications:
        mine = record.encounter == encounter.number and (not only or record.kind == only)
        # A transfer's cancellation takes back that transfer alone; of discharges there is one at a time.
        if not mine or (moved_at and record.at // 1000 != moved_at // 1000):
            kept.append(record)
            continue
        for recipient in record.recipients:
            notification = record.notification(recipient)
            draft.withdrawn(notification, Address.parse(recipient), record.rule, record.version, why)
            asked = uuid_bytes(notification)
            for handoff in person.handoffs:
                if handoff.notification == asked and not handoff.closed_at:
                    rule = rule_of(handoff, person, context.world)
                    close(draft, handoff, rule, "cancelled", happened=context.at, why=why)
    person.notifications = kept
