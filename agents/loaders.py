"""From settings to agents, and to what the doors need of them.

Owns what each agent is made of. The table in `app.py` names these functions; they are imported when one of them is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agents.coordination.agent import Coordination, CoordinationRecords
from agents.coordination.reference.reference_data import CareSettings
from agents.coordination.reference.risk import LengthCounting
from agents.coordination.rules.loading import DIRECTORY, RULES, load_directory, load_world
from agents.feeds.agent import CareAndFeeds, FeedRecords, Feeds, load_rule, watchers_of
from agents.feeds.reports import with_heard
from streams.base.settings import Settings
from streams.contract.events import Millis
from streams.intake.reading import Arrived
from streams.intake.settings import IntakeSettings
from streams.output.lines import Line
from streams.output.sentences import Names
from streams.replay.replay import replay


def load_coordination(settings: Settings) -> CoordinationRecords:
    """Load rules and directory. Raises ValueError or OSError with file, field and how to mend."""
    return CoordinationRecords(load_rules(settings), clock=settings.clock)


def load_rules(settings: Settings) -> Coordination:
    """Load what `load_coordination` loads, as a replay asks for it."""
    counting: LengthCounting = "inclusive" if settings.length_of_stay == "inclusive" else "nights"
    care = CareSettings(history_days=settings.backfill_days, length_of_stay=counting)
    return Coordination(load_world(settings.rules or RULES, settings.directory or DIRECTORY, care, settings.profile))


def load_feeds(settings: Settings) -> FeedRecords:
    """Load the rule of silent feeds and who answers for it. Raises ValueError or OSError with file and field."""
    return FeedRecords(_load_feeds(settings))


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


def replay_all(settings: Settings, arrivals: Iterable[Arrived], until: Millis | None) -> Iterator[Line]:
    """Replay *arrivals* with both agents: what a shard would report of a source is among them. Raises as the loaders do."""
    return replay(with_heard(arrivals), CareAndFeeds(load_rules(settings), _load_feeds(settings)), until)


def _load_feeds(settings: Settings) -> Feeds:
    rule = load_rule()
    return Feeds(rule, watchers_of(load_directory(settings.directory or DIRECTORY), rule))
