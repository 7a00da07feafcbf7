"""Routing: which event notifies which roles, by the rows of the routing table, and how notifications are withdrawn.

Owns the choice of the row and the record of who was notified. Must not know how a handoff works: a notification that asks for an
acknowledgement triggers a rule, and that rule opens a handoff.
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.coordination.handoffs.effects_draft import EffectsDraft
from agents.coordination.handoffs.handoff import acknowledgement_of, close, rule_of
from agents.coordination.handoffs.notify import notify
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
    """Notify the roles of the first row whose conditions hold, and open the handoffs that this triggers. Return whether a row applies."""
    for compiled in context.world.catalogue.notices.get(context.kind, ()):
        if not holds(compiled.tests, context):
            continue
        notice = compiled.notice
        person = context.person
        goals: tuple[GoalWords, ...] = ()
        if context.kind in _WITH_GOALS and person.goals:
            goals = tuple(GoalWords(g.id, g.words, g.expressed_by) for g in person.goals if g.status in OPEN_STATUSES and g.words)
        issued = notify(
            draft,
            context,
            notice.tells,
            rule=notice.id,
            version=notice.version,
            title=notice.title,
            neutral_title=notice.neutral_title,
            why=f"{draft.words}.",
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
            asked = acknowledgement_of(notification, opened)
            if asked is not None and notification.asks_acknowledgement:
                index = draft.effects.index(notification)
                draft.effects[index] = replace(notification, handoff=uuid_text(asked.id))
        return True
    return False


def withdraw(draft: EffectsDraft, context: Context, encounter: Encounter, kind: str, why: str) -> None:
    """Withdraw the notifications about *encounter* from their recipients. *kind*: only those about events of this type; empty: all."""
    person = context.person
    kept = []
    only = OPENERS.index(kind)
    moved_at = encounter.cancels[-1].target_at if kind == "PatientTransferred" else 0
    for record in person.notifications:
        mine = record.encounter == encounter.number and (not only or record.kind == only)
        # A cancelled transfer withdraws only its own notifications. A discharge needs no check: an encounter has one at a time.
        if not mine or (moved_at and record.at // 1000 != moved_at // 1000):
            kept.append(record)
            continue
        for recipient in record.recipients:
            notification = record.notification(recipient)
            draft.withdrawn(notification, Address.parse(recipient), record.rule, record.version, f"{why} The notification is withdrawn.")
            asked = uuid_bytes(notification)
            for handoff in person.handoffs:
                if handoff.notification == asked and not handoff.closed_at:
                    rule = rule_of(handoff, person, context.world)
                    close(draft, handoff, rule, "cancelled", happened=context.at, why=why)
    person.notifications = kept
