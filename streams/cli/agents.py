"""The types of the table of agents, which the command line gets from its caller.

Owns these types and the lazy import of the table's entries: each is imported when it is first used, so `carerelay --help`
imports no agent. For the same reason the types of their results are imported only for the type checker. Names no agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.base.settings import Settings
    from streams.contract.events import Millis
    from streams.intake.reading import Arrived
    from streams.intake.settings import IntakeSettings
    from streams.output.lines import Line
    from streams.output.sentences import Names
    from streams.shard.agent import Agent


@dataclass(frozen=True, slots=True)
class Lazy:
    """A function that is imported when it is called. Can be pickled."""

    target: str
    """`module:function`."""

    def __call__(self, *arguments: Any) -> Any:
        """Import the function and call it."""
        return resolve_name(self.target)(*arguments)


@dataclass(frozen=True, slots=True)
class Command:
    """A command or a group of commands."""

    name: str
    target: str
    """`module:name` of its function, or of its Typer object if it is a group."""
    help: str


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent."""

    name: str
    """The value of `carerelay worker --agent`."""
    title: str
    """The name of its worker in the output of `carerelay run`."""
    state_topic: str
    load: Callable[[Settings], Agent]
    """Make the agent. Raises ValueError or OSError; the text names the file, the field and the remedy."""
    group_suffix: str = ""
    """Appended to the consumer group of the settings, because each agent has its own group."""
    commands: tuple[Command, ...] = ()
    """The agent's own commands."""


@dataclass(frozen=True, slots=True)
class AgentTable:
    """The agents, and the functions that the command line needs. The loaders raise the same errors as `AgentRow.load`."""

    rows: tuple[AgentRow, ...]
    """The first agent is the one that reads the events published by intake."""
    module: str
    """`python -m MODULE` runs this command line in a child process."""
    load_intake: Callable[[Settings], IntakeSettings]
    """Make the settings of intake."""
    load_in_memory: Callable[[Settings], Agent]
    """Make the agent of the first row, for use in memory."""
    load_names: Callable[[Settings], Names]
    """Make the function that returns the display name of an address."""
    replay: Callable[[Settings, Iterable[Arrived], Millis | None], Iterable[Line]]
    """Replay arrivals with all agents."""

    def row(self, name: str) -> AgentRow | None:
        """Return the row of *name*; None if there is no such agent."""
        return next((row for row in self.rows if row.name == name), None)

    @property
    def names(self) -> list[str]:
        """The names of all agents."""
        return [row.name for row in self.rows]

    @property
    def commands(self) -> list[Command]:
        """The commands of all agents."""
        return [command for row in self.rows for command in row.commands]
