"""Routing: which event tells which roles, by the rows of the routing table; and taking back what was told.

Owns notices from their row to the record of who was told. Must not know how a handoff runs; what a notice asks of its
recipient is a rule's matter, triggered by the notice.
"""

from __future__ import annotations

import msgspec

from agents.coordination.handoffs import handoff as handoffs
from agents.coordination.handoffs.effects_draft import Draft
from agents.coordination.handoffs.notify import tell
from agents.coordination.handoffs.opening import open_all
from agents.coordination.person.goal_states import OPEN_STATUSES
from agents.coordination.person.state import OPENERS, Stay, Told
from agents.coordination.reference.ids import raw, text
from agents.coordination.rules.catalogue import holds
from agents.coordination.rules.facts import Scene
from streams.contract.effects import GoalWords

_WITH_GOALS = frozenset({"PatientAdmitted", "PatientDischarged", "EncounterClassChanged"})


def announce(draft: Draft, scene: Scene) -> bool:
    """Tell whom the first row that holds says; say whether one did. A handoff that a notice asks for is opened with it."""
    for compiled in scene.world.catalogue.notices.get(scene.kind, ()):
        if not holds(compiled.tests, scene):
            continue
        notice = compiled.notice
        person = scene.person
        goals: tuple[GoalWords, ...] = ()
        if scene.kind in _WITH_GOALS and person.goals:
            goals = tuple(GoalWords(g.id, g.words, g.expressed_by) for g in person.goals if g.status in OPEN_STATUSES and g.words)
        issued = tell(
            draft,
            scene,
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
            stay = scene.stay.number if scene.stay is not None else 0
            kind = OPENERS.index(scene.kind) if scene.kind in OPENERS else 0
            person.told.append(
                Told(bytes.fromhex(draft.seed), notice.id, stay, scene.at, kind, tuple(n.recipient for n in issued), notice.version)
            )
        for told in issued:
            scene.notice = told
            opened = open_all(draft, scene)
            scene.notice = None
            asked = handoffs.asked_of(told, opened)
            if asked is not None and told.asks_acknowledgement:
                place = draft.effects.index(told)
                draft.effects[place] = msgspec.structs.replace(told, handoff=text(asked.id))
        return True
    return False


def take_back(draft: Draft, scene: Scene, stay: Stay, kind: str, why: str) -> None:
    """Withdraw what was told of *stay* (only of events of *kind*, unless that is empty) from exactly those who were told."""
    person = scene.person
    kept = []
    only = OPENERS.index(kind)
    moved_at = stay.cancels[-1] if kind == "PatientTransferred" else 0
    for told in person.told:
        mine = told.stay == stay.number and (not only or told.kind == only)
        # A transfer's cancellation takes back that transfer alone; of discharges there is one at a time.
        if not mine or (moved_at and told.at // 1000 != moved_at // 1000):
            kept.append(told)
            continue
        for recipient in told.recipients:
            notification = told.notification(recipient)
            draft.withdrawn(notification, recipient, told.rule, told.version, why)
            asked = raw(notification)
            for handoff in person.handoffs:
                if handoff.ref == asked and not handoff.closed_at:
                    rule = handoffs.rule_of(handoff, person, scene.world)
                    handoffs.close(draft, handoff, rule, "cancelled", happened=scene.at, why=why)
    person.told = kept
