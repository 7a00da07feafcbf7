"""What a fact is read from, and the register of all facts.

Owns the context and the register. Must not know a particular fact or a rule. A fact returns text, a number, true or false, several
texts, or None if it is not known. It never guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Self

import msgspec

from agents.coordination.person.encounter import Encounter
from agents.coordination.person.state import Appointment, Goal, Handoff, NotificationRecord, Person, Referral
from agents.coordination.reference.directory import Organisation
from agents.coordination.reference.reference_data import ReferenceData
from streams.contract.effects import NotificationIssued
from streams.contract.events import Event, Millis

Value = str | int | float | bool | tuple[str, ...] | frozenset[str] | None


class FactContext(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What facts are read from: an event and its subject, or a handoff whose step is due (without an event).

    It is immutable: `msgspec.structs.replace` returns a changed copy. The person and the records in it are mutable.
    """

    person: Person
    world: ReferenceData
    at: Millis
    organisation: Organisation
    event: Event | None
    fact: Any
    """The data of the event; None without an event."""
    kind: str
    """The event's type; empty without an event."""
    encounter: Encounter | None = None
    handoff: Handoff | None = None
    referral: Referral | None = None
    referral_before: Referral | None = None
    """The referral before the event changed it."""
    goal: Goal | None = None
    appointment: Appointment | None = None
    answered: Handoff | None = None
    """The handoff that a response is about."""
    issued: NotificationIssued | None = None
    """The notification that was just issued."""
    reported: NotificationRecord | None = None
    """The notification that a delivery report is about."""
    changed: tuple[str, ...] = ()
    repeated: bool = False

    @classmethod
    def of(  # noqa: PLR0917 -- the fields that every context has, and three that most have
        cls,
        person: Person,
        world: ReferenceData,
        at: Millis,
        organisation: Organisation,
        event: Event | None = None,
        encounter: Encounter | None = None,
        handoff: Handoff | None = None,
    ) -> Self:
        """Return the context of *event*, or of *handoff* if there is no event."""
        if event is None:
            return cls(person, world, at, organisation, None, None, "", encounter, handoff)
        return cls(person, world, at, organisation, event, event.data, event.type, encounter, handoff)


Read = Callable[[FactContext], Value]

FACTS: Final[dict[str, Read]] = {}
"""Every fact by the name that catalogue files use."""


PLAIN: Final = frozenset(
    {
        "class",
        "setting",
        "setting_of_stay",
        "registration",
        "disposition_group",
        "status_of_stay",
        "changed",
        "material_change",
        "status",
        "outcome",
        "reviewed",
        "revised",
        "has_referral",
        "linked",
        "referral_status",
        "business_status",
        "code",
        "asks_acknowledgement",
        "recipient_known",
    }
)
"""Facts that are cheap to read, have few values, and do not depend on a particular goal or handoff."""


def fact(read: Read) -> Read:
    """Register *read* under its name without the prefix `of_`. Its docstring is the description of the fact."""
    FACTS[read.__name__.removeprefix("of_")] = read
    return read


def described() -> Mapping[str, str]:
    """Return the one-line description of each fact by name."""
    return {name: (read.__doc__ or "").strip().splitlines()[0] for name, read in sorted(FACTS.items())}


def event_says(context: FactContext, field: str) -> Any:
    """Return *field* of the context's event; None without an event or without the field."""
    return getattr(context.fact, field, None) if context.fact is not None else None
