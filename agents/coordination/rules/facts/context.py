"""What a fact is read from, and the vocabulary that facts are put into.

Owns the context and the register. Must not know a single fact, nor a rule. A fact gives text, a number, a truth, several
texts (any of them may fit), or None where it is not known; it never guesses.
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
    """What a condition is read from: the event and what it is about, or a handoff whose step is reached (no event).

    It never changes: `msgspec.structs.replace` gives a copy about something else. What it names of the person does change.
    """

    person: Person
    world: ReferenceData
    at: Millis
    organisation: Organisation
    event: Event | None
    fact: Any
    """What the event says; None without an event."""
    kind: str
    """The event's type; empty without an event."""
    encounter: Encounter | None = None
    handoff: Handoff | None = None
    referral: Referral | None = None
    referral_before: Referral | None = None
    """The referral as it stood before the event said something new of it."""
    goal: Goal | None = None
    appointment: Appointment | None = None
    answered: Handoff | None = None
    """The handoff that a response is about."""
    issued: NotificationIssued | None = None
    """The notification that has just gone out."""
    reported: NotificationRecord | None = None
    """The notification that a delivery report is about."""
    changed: tuple[str, ...] = ()
    repeated: bool = False

    @classmethod
    def of(  # noqa: PLR0917 -- what every context has, and what most have
        cls,
        person: Person,
        world: ReferenceData,
        at: Millis,
        organisation: Organisation,
        event: Event | None = None,
        encounter: Encounter | None = None,
        handoff: Handoff | None = None,
    ) -> Self:
        """Return the context of *event*, or of *handoff* where no event is its reason."""
        if event is None:
            return cls(person, world, at, organisation, None, None, "", encounter, handoff)
        return cls(person, world, at, organisation, event, event.data, event.type, encounter, handoff)


Read = Callable[[FactContext], Value]

FACTS: Final[dict[str, Read]] = {}
"""Every fact by its name, as a catalogue file writes it."""


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
"""Facts that are read at once, have few values, and hang on no goal or handoff that is looked at in turn."""


def fact(read: Read) -> Read:
    """Put *read* into the vocabulary under its own name without the leading `of_` and with its docstring as description."""
    FACTS[read.__name__.removeprefix("of_")] = read
    return read


def described() -> Mapping[str, str]:
    """Return each fact's name with its one-line description."""
    return {name: (read.__doc__ or "").strip().splitlines()[0] for name, read in sorted(FACTS.items())}


def event_says(context: FactContext, field: str) -> Any:
    """Return what the context's event itself says in *field*; None without an event or the field."""
    return getattr(context.fact, field, None) if context.fact is not None else None
