"""Collects the effects of one decision.

Owns the fields that effects of all rules have in common: ids, `why`, titles. Must not know a rule, or decide which effects
a decision has.
"""

from __future__ import annotations

from typing import Final

from agents.coordination.person.care_team import watchers_of
from agents.coordination.person.encounter import Encounter
from agents.coordination.person.state import TASK_STATUS, Handoff, Person
from agents.coordination.reference.ids import derive, uuid_text
from agents.coordination.rules.catalogue import CompiledRule
from agents.coordination.rules.rule import Rule
from agents.coordination.rules.wording import by_rule
from streams.contract.address import Address
from streams.contract.effects import (
    Effect,
    EffectSuppressed,
    EventRefused,
    GapState,
    GoalWords,
    NotificationIssued,
    NotificationWithdrawn,
    TaskState,
)
from streams.contract.events import EncounterRef, Millis

ENCOUNTER_RULE: Final = "encounter"
"""The rule id of effects that follow from an event itself and not from a rule of the catalogue."""

GAP_STATES: Final = ("", "due-soon", "open")


class EffectsDraft:
    """Collects the effects of one event or one deadline."""

    __slots__ = ("at", "cause", "effects", "person", "seed", "source", "words")

    def __init__(self, person: Person, at: Millis, *, cause: str, seed: str, source: str, words: str = "") -> None:
        self.person = person
        self.at = at
        self.cause = cause
        """The event's id."""
        self.seed = seed
        """What the ids of the effects are derived from: source and id of the event, or handoff and step of the deadline."""
        self.source = source
        self.words = words
        """What happened, as a clause without a full stop (`wording.happened`)."""
        self.effects: list[Effect] = []

    def refused(self, reason: str, why: str, rule: str = ENCOUNTER_RULE) -> None:
        """Add an `EventRefused`."""
        self.effects.append(
            EventRefused(derive(self.seed, rule, "refused", reason), self.at, self.person.key, self.cause, rule, reason, self.source, why)
        )

    def suppressed(
        self, reason: str, why: str, rule: str = ENCOUNTER_RULE, *, version: int = 1, recipient: str = "", mark: str = ""
    ) -> None:
        """Add an `EffectSuppressed`: something was not done. *mark* distinguishes two suppressions with the same reason."""
        id_ = derive(self.seed, rule, "suppressed", reason, recipient, mark)
        self.effects.append(EffectSuppressed(id_, self.at, self.person.key, self.cause, rule, version, recipient, reason, self.source, why))

    def issued(
        self,
        *,
        id_: str,
        rule: str,
        version: int,
        recipient: Address,
        title: str,
        neutral_title: str,
        why: str,
        urgency: str,
        encounter_ref: EncounterRef | None,
        handoff: str | None = None,
        asks_acknowledgement: bool = False,
        goals: tuple[GoalWords, ...] = (),
        channel: str = "at-once",
        deliver_after: Millis | None = None,
    ) -> NotificationIssued:
        """Add a notification and return it. *why* is prefixed with the rule."""
        effect = NotificationIssued(
            id_,
            self.at,
            self.person.key,
            self.cause,
            rule,
            version,
            str(recipient),
            recipient.role,
            title,
            neutral_title,
            by_rule(rule, version, why),
            urgency,
            channel,
            encounter_ref,
            handoff,
            asks_acknowledgement,
            goals,
            deliver_after,
        )
        self.effects.append(effect)
        return effect

    def withdrawn(self, notification: str, recipient: Address, rule: str, version: int, why: str) -> None:
        """Add a `NotificationWithdrawn`. *why* is prefixed with the rule."""
        self.effects.append(
            NotificationWithdrawn(
                derive(self.seed, rule, "withdrawn", notification),
                self.at,
                self.person.key,
                self.cause,
                rule,
                version,
                notification,
                str(recipient),
                recipient.role,
                by_rule(rule, version, why),
            )
        )

    def show(self, handoff: Handoff, rule: CompiledRule | None, why: str) -> None:
        """Add the current task and, if the handoff has a gap, the current gap, so that both always name the same owner."""
        self.task(handoff, rule, why)
        if handoff.gap:
            self.gap(handoff, rule, why)

    def task(self, handoff: Handoff, rule: CompiledRule | None, why: str) -> None:
        """Add only the current task. Call this if no field of the gap has changed."""
        self._add(TaskState, "task", TASK_STATUS[handoff.status], handoff, rule, why)

    def gap(self, handoff: Handoff, rule: CompiledRule | None, why: str) -> None:
        """Add only the current gap."""
        self._add(GapState, "gap", "closed" if handoff.closure else GAP_STATES[handoff.gap], handoff, rule, why)

    def _add(  # noqa: PLR0917 -- what a task and a gap have in common
        self, kind: type[TaskState | GapState], name: str, state: str, handoff: Handoff, compiled: CompiledRule | None, why: str
    ) -> None:
        """Add a task or a gap. *why* is prefixed with the rule."""
        id_, rule = uuid_text(handoff.id), compiled.rule if compiled is not None else None
        referral, goal = _referral_and_goal(self.person, handoff, rule)
        title, neutral_title = titles_of(handoff, compiled)
        self.effects.append(
            kind(
                derive(self.seed, handoff.rule, id_, name, state, str(handoff.step), handoff.closure, str(handoff.due), handoff.owner),
                self.at,
                self.person.key,
                self.cause,
                handoff.rule,
                handoff.version,
                id_,
                state,
                handoff.owner,
                Millis(handoff.due),
                handoff.step,
                title,
                neutral_title,
                by_rule(handoff.rule, handoff.version, why),
                handoff.closure or None,
                Millis(handoff.opened_at),
                ref_of(self.person.encounter_numbered(handoff.encounter)),
                referral,
                goal,
                watchers_of(self.person, handoff.owner, self.at, rule.purpose, rule.sensitivity) if rule is not None else (),
            )
        )


def titles_of(handoff: Handoff, rule: CompiledRule | None) -> tuple[str, str]:
    """Return the title and the neutral title of *handoff*. If the catalogue no longer has the rule, both titles name the rule."""
    if rule is None:
        title = f"Complete the task of rule {handoff.rule}"
        return title, title
    return rule.rule.title, rule.rule.neutral_title


def _referral_and_goal(person: Person, handoff: Handoff, rule: Rule | None) -> tuple[str | None, str | None]:
    """Return the ids of the referral that *handoff* is about and of the goal that it serves, directly or through the referral."""
    focus = handoff.focus
    if rule is None or focus is None:
        return None, None
    if rule.subject == "goal":
        return None, focus
    referral = next((r for r in person.referrals if r.id == focus), None)
    return (focus if referral is not None else None), (referral.goal or None) if referral is not None else None


def ref_of(encounter: Encounter | None) -> EncounterRef | None:
    """Return the reference to *encounter* that effects contain, or None without an encounter."""
    return EncounterRef(encounter.facility, encounter.visit) if encounter is not None else None
