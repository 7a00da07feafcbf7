"""The shapes of an encounter in a person's state.

Must not know a rule or what an event does to an encounter. `state.py` packs these shapes and says how a field is added.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Status:
    """A stay's status; small numbers in the state, FHIR Encounter.status outside."""

    UNKNOWN: Final = 0
    PLANNED: Final = 1
    IN_PROGRESS: Final = 2
    ON_LEAVE: Final = 3
    FINISHED: Final = 4
    CANCELLED: Final = 5


STATUS_NAMES: Final = ("unknown", "planned", "in-progress", "onleave", "finished", "cancelled")


class Cancel(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A cancellation of what an encounter's message said."""

    what: int
    """What was cancelled: an index of `record.encounter_states` (admission, transfer or discharge)."""
    at: int
    took_back: int
    """Time of the fact that it took back; 0 while that has not arrived."""


class Leave(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The newest word on leave from an encounter."""

    at: int
    """In seconds."""
    began: bool
    """Whether the person left then; else they came back."""


class Location(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Where within an encounter the person is."""

    moved_to: str = ""
    """The facility that the person was moved to; empty while it is the facility of the encounter."""
    unit: str = ""
    level: str = ""
    at: int = 0
    """When the person was moved there, in seconds; 0: not moved since the admission."""


class Encounter(msgspec.Struct, array_like=True, gc=False):
    """A stay or visit. Times are event times in milliseconds, those ending in `_at` in seconds."""

    number: int
    """The person's own count of stays; handoffs and notices name the stay by it."""
    facility: str
    visit: str = ""
    status: int = Status.UNKNOWN
    class_: str = ""
    admitted: int = 0
    discharged: int = 0
    class_at: int = 0
    attending_at: int = 0
    disposition_at: int = 0
    diagnoses_at: int = 0
    disposition: str = ""
    attending: str = ""
    location: Location | None = None
    came_from: Location | None = None
    """Where the person was before the last move, for its cancellation."""
    via_emergency: bool | None = None
    complexity: str = ""
    diagnoses: tuple[str, ...] = ()
    """`rank|system|code`, principal first."""
    procedures: tuple[str, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    last: int = 0
    """The newest event time seen of this stay."""
    touched: int = 0
    """The newest arrival of this stay, for retention."""
    assumed: bool = False
    """It ended because nothing was heard, not because anybody said so (ENC-1)."""
    registered_only: bool = False
    leave: Leave | None = None

    @property
    def facility_now(self) -> str:
        """The facility where the person is."""
        return (self.location.moved_to if self.location is not None else "") or self.facility
