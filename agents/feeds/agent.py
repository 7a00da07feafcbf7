"""The feeds agent: joins the rule of silence to its topics, for the worker and for the replay.

Owns the translation between records and decisions, and the reading of the rule's file at start. Decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from agents.coordination.reference.directory import Directory
from agents.feeds.decide import Desk, fall_due, hear
from agents.feeds.rule import FeedRule, Watchers
from agents.feeds.state import MINUTE_MS, STATE_VERSION, Feed, pack, packed_deadline, unpack
from streams.avro.codec import STANDARD, Codec
from streams.base.yaml_files import read_yaml
from streams.contract.cloudevents import headers_of
from streams.contract.effects import Effect, FeedHeard, GapState, NotificationIssued, NotificationWithdrawn, StateMoved, TaskState
from streams.contract.events import Event, Millis, PersonKey
from streams.contract.feed_key import feed_key
from streams.contract.reasons import Refusal
from streams.contract.topics import DEAD_LETTER, FEED, GAP, NOTIFICATION, TASK
from streams.kafka.transactions import Headers
from streams.replay.replay import Decided, Deciding
from streams.shard.agent import Outcome, Record, Refused

SOURCE: Final = "urn:carerelay:feeds"
PLACE_OF: Final[Mapping[type, str]] = {
    NotificationIssued: NOTIFICATION.name,
    NotificationWithdrawn: NOTIFICATION.name,
    TaskState: TASK.name,
    GapState: GAP.name,
}


class FeedRuleError(ValueError):
    """FEED-1's file can't be used: names the file and the field."""


def load_rule(path: Path | None = None) -> FeedRule:
    """Read the rule; None: the one that comes with it. Raises FeedRuleError."""
    place = path or files("agents.feeds").joinpath("catalogue", "FEED-1.yaml")
    try:
        return msgspec.convert(read_yaml(place.read_text(encoding="utf-8")), FeedRule)
    except (OSError, ValueError, yaml.YAMLError) as wrong:
        raise FeedRuleError(f"{path or 'FEED-1.yaml'}: {wrong}") from wrong


def watchers_of(directory: Directory, rule: FeedRule) -> Watchers:
    """Return who answers for a silent source: who holds the rule's two roles at the default organisation, else a pool of that name."""

    def address(role: str) -> str:
        return f"{role}/{directory.holder(role, directory.default) or f'pool:{role}'}"

    return Watchers(address(rule.accountable), address(rule.next))


class Feeds:
    """The rule on packed states. Pure: same arguments, same answer."""

    def __init__(self, rule: FeedRule, by: Watchers) -> None:
        self._desk = Desk(rule, by)

    def decide(self, key: PersonKey, packed: bytes | None, event: Event, now: Millis) -> Decided:
        """Take in that a source was heard."""
        heard = event.data
        if not isinstance(heard, FeedHeard):
            raise TypeError("the feeds agent reads FeedHeard alone")
        before = None if packed is None else unpack(packed)
        last = before.last if before is not None else -1
        feed, effects = hear(before, heard, key, now, event.id, desk=self._desk)
        # What says nothing new leaves the very bytes: a shard does not write them again.
        return (packed if before is not None and heard.seen // MINUTE_MS <= last else _packed(feed)), effects

    def expire(self, key: PersonKey, packed: bytes, now: Millis) -> Decided:  # noqa: ARG002 -- the state has it
        """Fire the deadline of the source."""
        feed, effects = fall_due(unpack(packed), key, desk=self._desk)
        return _packed(feed), effects

    def spoil(self, key: PersonKey, packed: bytes | None, now: Millis) -> bytes | None:  # noqa: ARG002 -- one argument list for all agents
        """Take a deadline that is due away, after the rule raised: what was learned stays, the next report sets another."""
        if packed is None:
            return None
        feed = unpack(packed)
        feed.due = 0 if feed.due <= now else feed.due
        return pack(feed)

    def deadline(self, packed: bytes) -> Millis | None:
        """Return the deadline in *packed*."""
        return packed_deadline(packed)


class CareAndFeeds:
    """What a replay asks, where it watches feeds beside persons: the key says which of the two is meant."""

    def __init__(self, care: Deciding, feeds: Feeds) -> None:
        self._care = care
        self._feeds = feeds

    def decide(self, key: PersonKey, packed: bytes | None, event: Event, now: Millis) -> Decided:
        """Apply one event."""
        if isinstance(event.data, FeedHeard):
            return self._feeds.decide(key, packed, event, now)
        return self._care.decide(key, packed, event, now)

    def expire(self, key: PersonKey, packed: bytes, now: Millis) -> Decided:
        """Fire the earliest deadline."""
        return (self._feeds if packed[0] == STATE_VERSION else self._care).expire(key, packed, now)

    def spoil(self, key: PersonKey, packed: bytes | None, now: Millis) -> bytes | None:
        """Return the state after a rule raised."""
        return (self._feeds if packed and packed[0] == STATE_VERSION else self._care).spoil(key, packed, now)

    def deadline(self, packed: bytes) -> Millis | None:
        """Return the earliest deadline in *packed*."""
        return (self._feeds if packed[0] == STATE_VERSION else self._care).deadline(packed)

    def moved(self, effect: StateMoved, now: Millis) -> Event:
        """Return the event of a moved state: feeds never move."""
        return self._care.moved(effect, now)


class FeedRecords:
    """The rule as a shard asks for it: records in, records out."""

    inbound: Sequence[str] = (FEED.name,)
    relay = FEED.name
    """A report under a wrong partition is refused, not relayed: shards write them, and know where they belong."""
    dead_letters = DEAD_LETTER.name

    def __init__(self, feeds: Feeds, codec: Codec = STANDARD) -> None:
        self._feeds = feeds
        self._codec = codec

    def read(self, topic: str, record: Record, arrival: Millis) -> tuple[bytes, Any] | Refused:  # noqa: ARG002 -- there is one topic
        """Return (key of the source, report), or why it can't be read."""
        heard = self._codec.read_frame(record.value)
        if isinstance(heard, Refusal):
            return Refused(heard.code, "read")
        if not isinstance(heard, FeedHeard):
            return Refused("wrong-topic", "read")
        key = feed_key(heard.source)
        if record.key != key.encode():
            return Refused("key-bad", "read")
        identity = next((value for name, value in record.headers if name == "ce_id"), b"")
        if not identity:
            return Refused("header-missing", "read")
        return record.key, Event(identity.decode("utf-8", "replace"), SOURCE, heard.seen, arrival, key, heard)

    def decide(self, key: bytes, packed: bytes | None, event: Event, now: Millis) -> Outcome:
        """Take in a report."""
        return self._outcome(*self._feeds.decide(PersonKey(key.decode()), packed, event, now))

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:
        """Fire the deadline of the source."""
        return self._outcome(*self._feeds.expire(PersonKey(key.decode()), packed, now))

    def spoil(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:
        """Return the state after the rule raised."""
        return self._feeds.spoil(PersonKey(key.decode()), packed, now)

    deadline = staticmethod(packed_deadline)

    def open_handoffs(self, packed: bytes) -> int:
        """Return 1 where the source is silent."""
        return 1 if unpack(packed).step else 0

    def wrap(self, topic: str, partition: int, key: bytes, record: Record) -> tuple[bytes, Headers]:  # noqa: ARG002 -- never asked for
        """Return the record as it is."""
        return record.value or b"", record.headers

    def _outcome(self, packed: bytes | None, effects: Sequence[Effect]) -> Outcome:
        records = []
        for effect in effects:
            key = effect.handoff if isinstance(effect, TaskState | GapState) else effect.person
            headers = headers_of(Event(effect.id, SOURCE, effect.at, effect.at, effect.person, effect))
            records.append((PLACE_OF[type(effect)], key.encode(), self._codec.effect_record(effect), headers))
        return Outcome(packed, records, kinds=[type(effect).__name__ for effect in effects])


def _packed(feed: Feed | None) -> bytes | None:
    return None if feed is None else pack(feed)
