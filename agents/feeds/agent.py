"""The feeds agent: connects the rule for silent sources, FEED-1, to its topics.

Owns the topic of each effect, and loads the rule's file at start. `decide.py` makes the decisions, and the agent's `Form`
reads and writes the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
import yaml

from agents.coordination.reference.directory import Directory
from agents.feeds.decide import FeedPolicy, apply_report, fire_deadline
from agents.feeds.rule import FeedOwners, FeedRule
from agents.feeds.state import MINUTE_MS, Feed, pack, packed_deadline, packed_silent, unpack
from streams.base.yaml_files import read_yaml
from streams.contract.effects import Effect, FeedHeard
from streams.contract.events import Event, Millis, PersonKey
from streams.contract.feed_key import feed_key
from streams.contract.record import Headers
from streams.contract.topics import DEAD_LETTER, FEED, KEYED_BY_HANDOFF, TOPIC_OF_EFFECT
from streams.shard.agent import OWN_SHARD, Form, Origin, Outcome, Publication, RecordRefused

SOURCE: Final = "urn:carerelay:feeds"


class FeedRuleError(ValueError):
    """The file of FEED-1 is not valid. The text names the file and the field."""


def load_rule(path: Path | None = None) -> FeedRule:
    """Read the rule from *path*, or the built-in rule if *path* is None. Raises FeedRuleError."""
    file = path or files("agents.feeds").joinpath("catalogue", "FEED-1.yaml")
    try:
        return msgspec.convert(read_yaml(file.read_text(encoding="utf-8")), FeedRule)
    except (OSError, ValueError, yaml.YAMLError) as wrong:
        raise FeedRuleError(f"{path or 'FEED-1.yaml'}: {wrong}") from wrong


def owners_of(directory: Directory, rule: FeedRule) -> FeedOwners:
    """Return the owners for silent sources: the holders of the rule's two roles at the default organisation.

    If nobody holds a role, the owner is the pool with the name of the role.
    """

    def address(role: str) -> str:
        return f"{role}/{directory.holder(role, directory.default) or f'pool:{role}'}"

    return FeedOwners(address(rule.accountable), address(rule.next))


class FeedsAgent:
    """Applies *rule* to each source. *owners* are accountable for silent sources, and *form* reads and writes the records."""

    inbound: Sequence[str] = (FEED.name,)
    relay = FEED.name
    """The inbound topic itself. So a shard does not relay a report in the wrong partition, but refuses it: shards write the reports,
    and they compute the partition from the key."""
    dead_letters = DEAD_LETTER.name

    def __init__(self, rule: FeedRule, owners: FeedOwners, form: Form) -> None:
        self._policy = FeedPolicy(rule, owners)
        self._form = form

    def read(self, origin: Origin, arrival: Millis) -> tuple[bytes, Event] | RecordRefused:
        """Return (key of the source, feed report), or why the record cannot be read."""
        read = self._form.read_effect(origin)
        if isinstance(read, RecordRefused):
            return read
        identity, report = read
        if not isinstance(report, FeedHeard):
            return RecordRefused("wrong-topic", "read")
        key = feed_key(report.source)
        if origin.record.key != key.encode():
            return RecordRefused("key-bad", "read")
        return origin.record.key, Event(identity, SOURCE, report.seen, arrival, key, report)

    def decide(self, key: bytes, packed: bytes | None, event: Event, now: Millis, origin: Origin) -> Outcome:  # noqa: ARG002 -- nothing is forwarded
        """Apply a report about a source."""
        report = event.data
        if not isinstance(report, FeedHeard):
            raise TypeError("the feeds agent reads only FeedHeard")
        before = None if packed is None else unpack(packed)
        last = before.last if before is not None else -1
        feed, effects = apply_report(before, report, PersonKey(key.decode()), now, event.id, policy=self._policy)
        # Return the same bytes object if the report adds nothing: the shard then does not write the state again.
        return self._outcome(packed if before is not None and report.seen // MINUTE_MS <= last else _packed(feed), effects)

    def expire(self, key: bytes, packed: bytes, now: Millis) -> Outcome:  # noqa: ARG002 -- the state holds the deadline
        """Fire the source's deadline."""
        feed, effects = fire_deadline(unpack(packed), PersonKey(key.decode()), policy=self._policy)
        return self._outcome(_packed(feed), effects)

    def after_failure(self, key: bytes, packed: bytes | None, now: Millis) -> bytes | None:  # noqa: ARG002 -- one argument list for all agents
        """Return the state without a deadline that is due, because the rule raised an exception. The next report sets a new one."""
        if packed is None:
            return None
        feed = unpack(packed)
        feed.due = 0 if feed.due <= now else feed.due
        return pack(feed)

    deadline = staticmethod(packed_deadline)
    open_handoffs = staticmethod(packed_silent)

    def wrap(self, key: bytes, origin: Origin) -> tuple[object, Headers]:  # noqa: ARG002 -- never called
        """Return the record unchanged."""
        return origin.record.value, origin.record.headers

    def _outcome(self, packed: bytes | None, effects: Sequence[Effect]) -> Outcome:
        publish: list[Publication] = []
        for effect in effects:
            kind = type(effect)
            key: str = effect.handoff if kind in KEYED_BY_HANDOFF else effect.person  # type: ignore[union-attr, assignment]
            publish.append((OWN_SHARD, TOPIC_OF_EFFECT[kind], key.encode(), *self._form.write_effect(effect, SOURCE)))
        return Outcome(packed, publish, [type(effect).__name__ for effect in effects])


def _packed(feed: Feed | None) -> bytes | None:
    return None if feed is None else pack(feed)
