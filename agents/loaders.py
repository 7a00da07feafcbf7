"""Builds the agents, and the other objects that commands need, from the settings.

Owns what each agent is built from. The table in `app.py` names these functions, so that this module is imported only when one of
them is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agents.coordination.agent import CoordinationAgent
from agents.coordination.reference.reference_data import CareSettings
from agents.coordination.reference.risk import LengthCounting
from agents.coordination.rules.loading import DIRECTORY, RULES, load_directory, load_world
from agents.feeds.agent import FeedsAgent, load_rule, owners_of
from agents.feeds.reports import Reporting
from streams.base.settings import Settings
from streams.contract.events import Millis
from streams.intake.reading import Arrived
from streams.intake.settings import IntakeSettings
from streams.output.lines import Line
from streams.output.sentences import Names
from streams.replay.replay import replay
from streams.shard.agent import Agent, Form
from streams.shard.avro_form import AvroForm
from streams.shard.memory import MemoryForm


def load_coordination(settings: Settings) -> Agent:
    """Build the coordination agent for a worker. Raises ValueError or OSError with file, field and remedy."""
    form = AvroForm(clock=settings.clock)
    return Reporting(_coordination(settings, form), form)


def load_in_memory(settings: Settings) -> CoordinationAgent:
    """Build the coordination agent for use in memory. It does not report sources, because nothing reads the reports there."""
    return _coordination(settings, MemoryForm())


def load_feeds(settings: Settings) -> FeedsAgent:
    """Build the feeds agent for a worker. Raises ValueError or OSError with file and field."""
    return _feeds(settings, AvroForm())


def replay_all(settings: Settings, arrivals: Iterable[Arrived], until: Millis | None) -> Iterator[Line]:
    """Replay *arrivals* with both agents. The feeds agent gets the reports of the coordination agent. Raises like the loaders."""
    form = MemoryForm()
    return replay(arrivals, [Reporting(_coordination(settings, form), form), _feeds(settings, form)], until)


def load_intake(settings: Settings) -> IntakeSettings:
    """Load the settings of intake from the settings and the directory. Raises ValueError or OSError with file and field."""
    directory = load_directory(settings.directory or DIRECTORY, settings.profile)
    return IntakeSettings(
        secret=settings.key_secret,
        # Return None for an unknown facility: the message's own offset applies, or else the zone of the default organisation.
        zone_of=lambda facility: directory.of_facility(facility).zone if directory.knows_facility(facility) else None,
        default_zone=directory.default.zone,
        default_facility=settings.default_facility,
    )


def load_names(settings: Settings) -> Names:
    """Return the directory's function that maps an address to a name. Raises ValueError or OSError with file and field."""
    return load_directory(settings.directory or DIRECTORY, settings.profile).name_of


def _coordination(settings: Settings, form: Form) -> CoordinationAgent:
    counting: LengthCounting = "inclusive" if settings.length_of_stay == "inclusive" else "nights"
    care = CareSettings(history_days=settings.backfill_days, length_of_stay=counting)
    return CoordinationAgent(load_world(settings.rules or RULES, settings.directory or DIRECTORY, care, settings.profile), form)


def _feeds(settings: Settings, form: Form) -> FeedsAgent:
    rule = load_rule()
    return FeedsAgent(rule, owners_of(load_directory(settings.directory or DIRECTORY), rule), form)
