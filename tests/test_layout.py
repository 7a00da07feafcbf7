"""The rooms of the code: imports point down one list of rooms, and there is no circle.

Every import counts: at the top of a file, inside a function, for the type checker only, and one that a table names as text
("module:name").
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = (
    # ---- agents: the agents and their knowledge
    "agents.__main__",
    "agents.app",
    "agents.loaders",
    # `carerelay rules` lists the rules of all agents, including that of silent feeds.
    "agents.commands",
    # Wraps any agent, to report when a source was last heard. Its rule uses coordination's directory for names.
    "agents.feeds",
    "agents.coordination.agent",
    "agents.coordination.decide",
    "agents.coordination.application",
    "agents.coordination.consequences",
    "agents.coordination.handoffs",
    "agents.coordination.record",
    "agents.coordination.rules",
    "agents.coordination.person",
    "agents.coordination.reference",
    # ---- streams: how events move; names no agent
    "streams.cli",
    "streams.ops",
    # Its results are lines, as in a terminal.
    "streams.replay",
    "streams.output",
    # Runs an agent on shards in memory, so that synthetic people can answer its decisions.
    "streams.simulate",
    "streams.local",
    "streams.intake",
    "streams.kafka",
    "streams.shard",
    "streams.avro",
    # The clock is a setting, so it is here and not in the shard.
    "streams.base",
    "streams.contract",
)
"""From top to bottom. A module belongs to the longest of these names that its own name starts with."""

_PLACE = re.compile(r"((?:agents|streams)(?:\.\w+)+):\w+")
"""A function that a table names as text. It is imported when it is called."""

Sources = Mapping[str, str]
"""The text of each module, by its name."""


def room_of(module: str) -> str | None:
    """Return the room of *module*; None if it is not in the list."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len, default=None)


def imports(module: str, sources: Sources) -> Iterator[tuple[str, int]]:
    """Yield what *module* imports from *sources*, with the line number."""
    for node in ast.walk(ast.parse(sources[module])):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno}: imports are absolute"
            named = [name if name in sources else str(node.module) for name in (f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (place := _PLACE.fullmatch(node.value)):
            named = [place[1]]
        for name in named:
            if name in sources and name != module:
                yield name, node.lineno


def arrows_up(sources: Sources) -> list[str]:
    """Return the imports from rooms above the importer's."""
    return [
        f"{module}:{line} imports {name}, which stands above it"
        for module in sources
        for name, line in imports(module, sources)
        # The packages that contain rooms belong to none and import nothing. If they did, this would fail.
        if ROOMS.index(room_of(name)) < ROOMS.index(room_of(module))
    ]


def circle(sources: Sources) -> list[str]:
    """Return the files of one circle of imports, each importing the next; empty if there is no circle."""
    try:
        # The sorter takes predecessors, so its circles run against the imports.
        TopologicalSorter({module: {name for name, _ in imports(module, sources)} for module in sources}).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


@pytest.fixture(scope="module")
def sources() -> Sources:
    found = {}
    for path in sorted(path for top in ("agents", "streams") for path in (ROOT / top).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path.read_text()
    return found


def test_every_file_belongs_to_a_room_and_every_room_has_files(sources):
    assert {module for module in sources if room_of(module) is None} == {"agents", "streams", "agents.coordination"}
    assert set(ROOMS) - {room_of(module) for module in sources} == set()


def test_every_import_points_down_the_list_of_rooms(sources):
    found = arrows_up(sources)
    assert not found, "\n".join(found)


def test_no_files_import_each_other_in_a_circle(sources):
    found = circle(sources)
    assert not found, " imports ".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "from agents.feeds.reports import SourceReports",
        "import agents.feeds.reports",
        "def late():\n    from agents.feeds import reports",
        "if TYPE_CHECKING:\n    from agents.feeds.reports import SourceReports",
        "loader = Lazy('agents.feeds.reports:SourceReports')",
    ],
)
def test_an_import_that_points_up_is_found_however_it_is_written(text):
    found = arrows_up({"agents.feeds.reports": "", "agents.feeds": "", "agents.coordination.person.state": text})
    assert len(found) == 1
    assert "agents.coordination.person.state" in found[0]


def test_an_import_that_points_down_or_stays_in_its_room_is_allowed():
    assert (
        arrows_up(
            {"streams.cli.main": "from streams.cli import exits\nimport streams.contract", "streams.cli.exits": "", "streams.contract": ""}
        )
        == []
    )


def test_a_circle_is_found_although_one_of_its_imports_is_only_for_the_type_checker():
    circled = {
        "streams.avro.a": "import streams.avro.b",
        "streams.avro.b": "if TYPE_CHECKING:\n    import streams.avro.a",
        "streams.avro.c": "",
    }
    assert set(circle(circled)) == {"streams.avro.a", "streams.avro.b"}
