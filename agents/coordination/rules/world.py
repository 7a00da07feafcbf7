"""What a decision reads: the reference data with the catalogue (`World`), and one event with its subject (`Context`).

Owns these two types. Must not know a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents.coordination.reference.directory import Directory
from agents.coordination.reference.reference_data import DEFAULTS, CareSettings, ReferenceData
from agents.coordination.reference.valuesets import ValueSets
from agents.coordination.rules.catalogue import Catalogue
from agents.coordination.rules.facts import FactContext


class World(ReferenceData):
    """Everything that a decision may look up besides the person. It does not change after start."""

    __slots__ = ("catalogue",)

    def __init__(self, catalogue: Catalogue, directory: Directory, valuesets: ValueSets, settings: CareSettings = DEFAULTS) -> None:
        super().__init__(directory, valuesets, settings)
        self.catalogue: Final = catalogue


class Context(FactContext, frozen=True, eq=False, gc=False):
    """A `FactContext` whose world has the catalogue too."""

    if TYPE_CHECKING:  # Only narrows the type. At run time msgspec would take this declaration for a new field.
        world: World
