"""What rules may look up besides the person: the directory, the value sets and the care settings.

Owns this bundle and the settings. Must not know a rule: rules are built from facts, and facts read this data.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agents.coordination.reference.directory import Directory
from agents.coordination.reference.risk import LengthCounting
from agents.coordination.reference.valuesets import ValueSets


class CareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a deployment that affect decisions."""

    suspect_after_minutes: int = 15
    """If the event time is later than the arrival by more than this, it is taken to be wrong, and the arrival time is used."""
    history_days: int = 30
    """An event that is older than this changes only the state. It starts no clock and notifies nobody."""
    state_bytes_max: int = 262_144
    """Size limit of a person's packed state; an event that would exceed it is refused with `state-cap`."""
    length_of_stay: LengthCounting = "nights"
    """How scores count the days of a stay: `nights`, or `inclusive`, which counts both the admission day and the discharge day."""
    duplicate_referral_days: int = 30
    """A second referral to the same service within this time is linked to the first one."""


DEFAULTS: Final = CareSettings()


class ReferenceData:
    """Directory, value sets and settings. They do not change after start."""

    __slots__ = ("directory", "settings", "valuesets")

    def __init__(self, directory: Directory, valuesets: ValueSets, settings: CareSettings = DEFAULTS) -> None:
        self.directory: Final = directory
        self.valuesets: Final = valuesets
        self.settings: Final = settings
