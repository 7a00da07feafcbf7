"""The table of agents, and the entry point: `carerelay` and `python -m agents`.

Owns which agents exist; no other module knows that. The modules that the table names are imported only when they are used.
"""

from __future__ import annotations

from typing import NoReturn

from streams.cli.agents import AgentRow, AgentTable, Command, Lazy
from streams.cli.main import main as run_command_line
from streams.contract.topics import FEEDS_STATE, STATE

AGENTS = AgentTable(
    rows=(
        AgentRow(
            name="coordination",
            title="Worker",
            state_topic=STATE.name,
            load=Lazy("agents.loaders:load_coordination"),
            commands=(Command("rules", "agents.commands:rules_app", "The handoff rules in plain words."),),
        ),
        AgentRow(
            name="feeds",
            title="Feeds worker",
            state_topic=FEEDS_STATE.name,
            load=Lazy("agents.loaders:load_feeds"),
            group_suffix="-feeds",
        ),
    ),
    module="agents",
    load_intake=Lazy("agents.loaders:load_intake"),
    load_in_memory=Lazy("agents.loaders:load_in_memory"),
    load_names=Lazy("agents.loaders:load_names"),
    replay=Lazy("agents.loaders:replay_all"),
)


def main() -> NoReturn:
    """Run the command line and exit."""
    run_command_line(AGENTS)
