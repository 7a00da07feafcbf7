"""What rules may look up that is not about a person: the directory, the value sets and the settings of care.

Owns the bundle and the settings. Must not know a rule: facts are computed from this, and the catalogue is made of facts.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agents.coordination.reference.directory import Directory
from agents.coordination.reference.risk import LengthCounting
from agents.coordination.reference.valuesets import ValueSets


class CareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment may set about decisions."""

    suspect_after_minutes: int = 15
    """An event time that lies later than this after arrival is not believed: the arrival time counts."""
    history_days: int = 30
    """An older event only changes the state: it starts no clock and notifies nobody."""
    state_bytes_max: int = 262_144
    """Size limit of a person's packed state; an event that would exceed it is refused with `state-cap`."""
    length_of_stay: LengthCounting = "nights"
    """How scores count the days of a stay: by nights, or with both the day of admission and of discharge (`inclusive`)."""
    duplicate_referral_days: int = 30
    """A second referral to the same service within this time is linked to the first one."""


DEFAULTS: Final = CareSettings()


class ReferenceData:
    """Directory, value sets and settings. Nothing in it changes after start."""

    __slots__ = ("directory", "settings", "valuesets")

    def __init__(self, directory: Directory, valuesets: ValueSets, settings: CareSettings = DEFAULTS) -> None:
        self.directory: Final = directory
        self.valuesets: Final = valuesets
        self.settings: Final = settings
