"""The world that a decision is made in, and the context in which it is made.

Owns the reference data and the catalogue together, loaded at start and frozen. Must not know a file or a person's story.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents.coordination.reference.directory import Directory
from agents.coordination.reference.reference_data import DEFAULTS, CareSettings, ReferenceData
from agents.coordination.reference.valuesets import ValueSets
from agents.coordination.rules.catalogue import Catalogue
from agents.coordination.rules.facts import FactContext


class World(ReferenceData):
    """Everything that a decision may look up besides the person. Nothing in it changes after start."""

    __slots__ = ("catalogue",)

    def __init__(self, catalogue: Catalogue, directory: Directory, valuesets: ValueSets, settings: CareSettings = DEFAULTS) -> None:
        super().__init__(directory, valuesets, settings)
        self.catalogue: Final = catalogue


class Context(FactContext, frozen=True, eq=False, gc=False):
    """What a decision is made in: what facts are read from, with the catalogue in its world."""

    if TYPE_CHECKING:  # The field is the same; msgspec would take a second declaration for a new field.
        world: World
