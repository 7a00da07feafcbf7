"""What the tests of rules share: a world with the spine's five rules alone, so that a test counts what it means."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from timeline import Timeline

from agents.coordination.rules.loading import RULES, load_world
from agents.coordination.rules.world import World

SPINE = ("DIS-1", "TCM-1", "NOT-2", "REF-1", "GOAL-2")


@pytest.fixture(scope="session")
def spine(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world with DIS-1, TCM-1, NOT-2, REF-1 and GOAL-2 only."""
    folder: Path = tmp_path_factory.mktemp("rules")
    for rule in SPINE:
        shutil.copy(RULES / f"{rule}.yaml", folder)
    return load_world(folder)


@pytest.fixture
def story(spine: World) -> Timeline:
    """A story of one person at General Hospital, New York, in July 2026: the 3rd is a public holiday, a Friday."""
    return Timeline(asked=spine)
