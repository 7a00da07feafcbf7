"""What the command line is told of the agents; it knows none by name.

Owns the shape of the table and how its entries are imported: when they are used, so that `carerelay --help` imports none.
For the same reason the types of what they return are imported for the type checker alone.
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
    """A function by the name of its place, `module:function`: imported when it is called. It can be sent to another process."""

    place: str

    def __call__(self, *arguments: Any) -> Any:
        """Import the function and call it."""
        return resolve_name(self.place)(*arguments)


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a group of them: its name, the place of its function or Typer (`module:name`), and its help."""

    name: str
    place: str
    help: str


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent."""

    name: str
    """How `carerelay worker --agent` names it."""
    title: str
    """How its worker is called on the screen."""
    state_topic: str
    load: Callable[[Settings], Agent]
    """Make the agent. Raises ValueError or OSError with file, field and how to mend."""
    group_suffix: str = ""
    """What is added to the setting of the consumer group: each agent has its own."""
    commands: tuple[Command, ...] = ()
    """The commands that it brings."""


@dataclass(frozen=True, slots=True)
class AgentTable:
    """The agents, and what else the command line needs of them. The loaders raise as that of a row does."""

    rows: tuple[AgentRow, ...]
    """The first is the one that reads what the doors publish."""
    module: str
    """`python -m MODULE` is this command line, for processes that it starts."""
    load_intake: Callable[[Settings], IntakeSettings]
    """Make the settings of the doors."""
    load_in_memory: Callable[[Settings], Agent]
    """Make the agent of the first row, to decide in memory."""
    load_names: Callable[[Settings], Names]
    """Make what gives the name of an address, for the sentences of the terminal."""
    replay: Callable[[Settings, Iterable[Arrived], Millis | None], Iterable[Line]]
    """Replay arrivals with all agents."""

    def row(self, name: str) -> AgentRow | None:
        """Return the row of *name*; None where there is no such agent."""
        return next((row for row in self.rows if row.name == name), None)

    @property
    def names(self) -> list[str]:
        """The names of the agents."""
        return [row.name for row in self.rows]

    @property
    def commands(self) -> list[Command]:
        """The commands that the agents bring."""
        return [command for row in self.rows for command in row.commands]
