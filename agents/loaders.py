"""From settings to agents, and to what the doors need of them.

Owns what each agent is made of. The table in `app.py` names these functions; they are imported when one of them is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agents.coordination.agent import CoordinationAgent
from agents.coordination.reference.reference_data import CareSettings
from agents.coordination.reference.risk import LengthCounting
from agents.coordination.rules.loading import DIRECTORY, RULES, load_directory, load_world
from agents.feeds.agent import FeedsAgent, load_rule, watchers_of
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
    """Load rules and directory for a worker. Raises ValueError or OSError with file, field and how to mend."""
    form = AvroForm(clock=settings.clock)
    return Reporting(_coordination(settings, form), form)


def load_in_memory(settings: Settings) -> CoordinationAgent:
    """Load what `load_coordination` loads, to decide in memory. It reports no sources: nobody reads that."""
    return _coordination(settings, MemoryForm())


def load_feeds(settings: Settings) -> FeedsAgent:
    """Load the rule of silent feeds and who answers for it. Raises ValueError or OSError with file and field."""
    return _feeds(settings, AvroForm())


def replay_all(settings: Settings, arrivals: Iterable[Arrived], until: Millis | None) -> Iterator[Line]:
    """Replay *arrivals* with both agents: what is reported of a source goes from one to the other. Raises as the loaders do."""
    form = MemoryForm()
    return replay(arrivals, [Reporting(_coordination(settings, form), form), _feeds(settings, form)], until)


def load_intake(settings: Settings) -> IntakeSettings:
    """Load the directory, which knows the facilities' zones. Raises ValueError or OSError with file and field."""
    directory = load_directory(settings.directory or DIRECTORY, settings.profile)
    return IntakeSettings(
        secret=settings.key_secret,
        # A facility that the directory does not know: the message's own offset counts, then the default organisation's zone.
        zone_of=lambda facility: directory.of_facility(facility).zone if directory.knows_facility(facility) else None,
        default_zone=directory.default.zone,
        default_facility=settings.default_facility,
    )


def load_names(settings: Settings) -> Names:
    """Load the directory; return what gives the name of an address. Raises ValueError or OSError with file and field."""
    return load_directory(settings.directory or DIRECTORY, settings.profile).name_of


def _coordination(settings: Settings, form: Form) -> CoordinationAgent:
    counting: LengthCounting = "inclusive" if settings.length_of_stay == "inclusive" else "nights"
    care = CareSettings(history_days=settings.backfill_days, length_of_stay=counting)
    return CoordinationAgent(load_world(settings.rules or RULES, settings.directory or DIRECTORY, care, settings.profile), form)


def _feeds(settings: Settings, form: Form) -> FeedsAgent:
    rule = load_rule()
    return FeedsAgent(rule, watchers_of(load_directory(settings.directory or DIRECTORY), rule), form)
