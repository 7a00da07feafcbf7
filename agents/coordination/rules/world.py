"""The world that a decision is made in: catalogue, directory, value sets and settings, loaded at start and frozen.

Owns the bundle and the few lookups that need several of them. Must not know a file or a person's story.
"""

from __future__ import annotations

from typing import Final

import msgspec

from agents.coordination.person.state import Handoff, Person
from agents.coordination.reference.directory import Directory
from agents.coordination.reference.ids import uuid_bytes
from agents.coordination.reference.risk import LengthCounting
from agents.coordination.reference.valuesets import ValueSets
from agents.coordination.rules.catalogue import Catalogue


class CareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment may set about decisions."""

    suspect_after_minutes: int = 15
    """An event time later than this after arrival is not believed: arrival counts."""
    history_days: int = 30
    """An event older than this changes state only: it opens no clock and tells nobody."""
    state_bytes_max: int = 262_144
    """A person's packed state; an event that would make it larger is refused with `state-cap`."""
    length_of_stay: LengthCounting = "nights"
    """How the days of a stay are counted for scores: by nights, or the days of admission and discharge both (`inclusive`)."""
    duplicate_referral_days: int = 30
    """A second referral to the same service within this time is linked to the first, not doubled."""


DEFAULTS: Final = CareSettings()


class World:
    """Everything that rules may ask beside the person. Nothing in it changes after start."""

    __slots__ = ("catalogue", "directory", "settings", "valuesets")

    def __init__(self, catalogue: Catalogue, directory: Directory, valuesets: ValueSets, settings: CareSettings = DEFAULTS) -> None:
        self.catalogue: Final = catalogue
        self.directory: Final = directory
        self.valuesets: Final = valuesets
        self.settings: Final = settings

    def notice_of(self, person: Person, handoff: Handoff) -> str | None:
        """Return the routing row whose notification *handoff* is about, or None."""
        for notified in person.notifications:
            for recipient in notified.recipients:
                if uuid_bytes(notified.notification(recipient)) == handoff.notification:
                    return notified.rule
        return None
