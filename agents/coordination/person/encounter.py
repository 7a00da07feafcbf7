"""The records of an encounter in a person's state.

Must not know a rule, or what an event does to an encounter. `state.py` packs these records and explains how to add a field.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Status:
    """The status of an encounter, as a small number. `STATUS_NAMES` has the codes of FHIR Encounter.status."""

    UNKNOWN: Final = 0
    PLANNED: Final = 1
    IN_PROGRESS: Final = 2
    ON_LEAVE: Final = 3
    FINISHED: Final = 4
    CANCELLED: Final = 5


STATUS_NAMES: Final = ("unknown", "planned", "in-progress", "onleave", "finished", "cancelled")


class Cancel(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A cancellation of an admission, transfer or discharge."""

    what: int
    """What is cancelled: 1 the admission, 2 a transfer, 3 the discharge."""
    at: int
    target_at: int
    """Event time of the cancelled event; 0 until that event arrives."""


class Leave(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The newest report about leave from an encounter."""

    at: int
    """Event time, in seconds."""
    began: bool
    """True if the person went on leave, False if they came back."""


class Location(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Where the person is during an encounter."""

    moved_to: str = ""
    """The facility that the person was moved to; empty if it is the facility of the encounter."""
    unit: str = ""
    level: str = ""
    at: int = 0
    """When the person was moved there, in seconds; 0: not moved since the admission."""


class Encounter(msgspec.Struct, array_like=True, gc=False):
    """A stay or visit (FHIR Encounter). Times are event times in milliseconds; fields that end in `_at` are in seconds."""

    number: int
    """Number of the encounter within the person, from 1. Handoffs and notifications refer to the encounter by this number."""
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
    """Where the person was before the last transfer, to restore it if the transfer is cancelled."""
    via_emergency: bool | None = None
    complexity: str = ""
    diagnoses: tuple[str, ...] = ()
    """`rank|system|code`, principal first."""
    procedures: tuple[str, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    last: int = 0
    """The newest event time of this encounter."""
    touched: int = 0
    """The newest arrival time of this encounter, for retention."""
    assumed: bool = False
    """Whether the end is assumed, because no more messages arrived (ENC-1)."""
    registered_only: bool = False
    leave: Leave | None = None

    @property
    def facility_now(self) -> str:
        """The facility where the person is."""
        return (self.location.moved_to if self.location is not None else "") or self.facility
