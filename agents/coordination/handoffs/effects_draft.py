"""A decision in the making: the effects so far, and what their ids and `why` are made from.

Owns the shape of each effect as far as it is common to all rules. Must not know a rule or decide whether to add one.
"""

from __future__ import annotations

from typing import Final

from agents.coordination.person.care_team import watchers_of
from agents.coordination.person.encounter import Encounter
from agents.coordination.person.state import TASK_STATUS, Handoff, Person
from agents.coordination.reference.ids import derive, uuid_text
from agents.coordination.rules.catalogue import CompiledRule
from agents.coordination.rules.rule import Rule
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
"""The rule named by effects that follow from the encounter machine alone."""

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
        """What ids are derived from: (source, id) of the event, or the handoff and step of a deadline."""
        self.source = source
        self.words = words
        """What happened, in words."""
        self.effects: list[Effect] = []

    def refused(self, reason: str, why: str = "", rule: str = ENCOUNTER_RULE) -> None:
        self.effects.append(
            EventRefused(derive(self.seed, rule, "refused", reason), self.at, self.person.key, self.cause, rule, reason, self.source, why)
        )

    def suppressed(
        self, reason: str, why: str = "", rule: str = ENCOUNTER_RULE, *, version: int = 1, recipient: str = "", mark: str = ""
    ) -> None:
        id_ = derive(self.seed, rule, "suppressed", reason, recipient, mark)
        self.effects.append(
            EffectSuppressed(id_, self.at, self.person.key, self.cause, rule, version, recipient, reason, self.source, why or self.words)
        )

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
            why,
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
                why,
            )
        )

    def show(self, handoff: Handoff, rule: CompiledRule | None, why: str) -> None:
        """Add the task as it stands now and, where one is shown, its gap: the two never name two owners."""
        self.task(handoff, rule, why)
        if handoff.gap:
            self.gap(handoff, rule, why)

    def task(self, handoff: Handoff, rule: CompiledRule | None, why: str) -> None:
        """Add the task alone, as it stands now: nothing that its gap says has changed."""
        self._add(TaskState, "task", TASK_STATUS[handoff.status], handoff, rule, why)

    def gap(self, handoff: Handoff, rule: CompiledRule | None, why: str) -> None:
        """Add the gap alone, as it stands now."""
        self._add(GapState, "gap", "closed" if handoff.closure else GAP_STATES[handoff.gap], handoff, rule, why)

    def _add(  # noqa: PLR0917 -- what a task and a gap have in common
        self, kind: type[TaskState | GapState], name: str, state: str, handoff: Handoff, compiled: CompiledRule | None, why: str
    ) -> None:
        id_, rule = uuid_text(handoff.id), compiled.rule if compiled is not None else None
        referral, goal = _serves(self.person, handoff, rule)
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
                why,
                handoff.closure or None,
                Millis(handoff.opened_at),
                ref_of(self.person.encounter_numbered(handoff.encounter)),
                referral,
                goal,
                watchers_of(self.person, handoff.owner, self.at, rule.purpose, rule.sensitivity) if rule is not None else (),
            )
        )


def titles_of(handoff: Handoff, rule: CompiledRule | None) -> tuple[str, str]:
    """Return the title and the neutral title of *handoff*; its rule's id where that left the catalogue."""
    return (rule.rule.title, rule.rule.neutral_title) if rule is not None else (handoff.rule, handoff.rule)


def _serves(person: Person, handoff: Handoff, rule: Rule | None) -> tuple[str | None, str | None]:
    """Return the referral that *handoff* is about, and the goal that it or the referral serves."""
    focus = handoff.focus
    if rule is None or focus is None:
        return None, None
    if rule.subject == "goal":
        return None, focus
    referral = next((r for r in person.referrals if r.id == focus), None)
    return (focus if referral is not None else None), (referral.goal or None) if referral is not None else None


def ref_of(encounter: Encounter | None) -> EncounterRef | None:
    """Return the stay as effects name it."""
    return EncounterRef(encounter.facility, encounter.visit) if encounter is not None else None
