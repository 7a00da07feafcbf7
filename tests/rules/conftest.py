"""Shared by the tests of rules: a world with only five rules, so that a test counts only the effects that it is about."""

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
    """A story of one person at General Hospital, New York, in July 2026. Friday the 3rd is a public holiday."""
    return Timeline(asked=spine)
