"""When a source was last heard: what shards report, at most once a minute and source, for the feeds agent.

Owns which events count as a source's own, the minute, and the wrapper that adds
reports to what another agent publishes. Knows no rule of silence. The messages of a source are spread over all shards, so
no single shard can say that a source went silent.
"""

from __future__ import annotations

import hashlib

from streams.contract.effects import FeedHeard
from streams.contract.events import Event, Millis
from streams.contract.feed_key import feed_key
from streams.contract.topics import DELIVERY, FEED, INBOUND, RELAY, RESPONSE
from streams.shard.agent import BY_KEY, Agent, Form, Origin, Outcome

MINUTE_MS = 60_000
SOURCE = "urn:carerelay:coordination"
SOURCES_MAX = 10_000
"""Sources remembered at once. More are no feeds but a sender that changes its name: the oldest memory is let go."""

WATCHED = frozenset(kind for topic in INBOUND if topic not in (DELIVERY, RESPONSE, RELAY) for kind in topic.types)
"""Events that a hospital, practice or service sends. What our own delivery and worklist say is no feed: they speak when they are asked."""


class Heard:
    """What was reported of each source. It is memory alone: after a restart each source is reported once more, which says nothing new."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def news(self, event: Event) -> FeedHeard | None:
        """Return what to report of *event*: its source was heard in a minute that has not been reported."""
        source, arrival = event.source, event.arrival
        if arrival < self._next.get(source, 0) or type(event.data) not in WATCHED:
            return None
        if len(self._next) >= SOURCES_MAX:
            self._next.clear()
        self._next[source] = (arrival // MINUTE_MS + 1) * MINUTE_MS
        return FeedHeard(source, arrival)


def event_of(heard: FeedHeard, cause: Event) -> Event:
    """Return the event that carries *heard*, which *cause* gave rise to: the same cause gives the same id for ever."""
    identity = "feed-" + hashlib.sha256(f"{cause.source}\x1f{cause.id}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Event(identity, SOURCE, heard.seen, cause.arrival, feed_key(heard.source), heard)


class Reporting:
    """*agent*, which reads events from outside, and beside what it publishes the reports of their sources."""

    def __init__(self, agent: Agent, form: Form) -> None:
        self._decide = agent.decide
        self._form = form
        self._heard = Heard()
        self.inbound, self.relay, self.dead_letters = agent.inbound, agent.relay, agent.dead_letters
        self.read, self.wrap = agent.read, agent.wrap
        self.expire, self.spoil = agent.expire, agent.spoil
        self.deadline, self.open_handoffs = agent.deadline, agent.open_handoffs

    def decide(self, key: bytes, packed: bytes | None, event: Event, now: Millis, origin: Origin) -> Outcome:
        """Apply one event; publish the report by its own key, which may belong to another shard."""
        outcome = self._decide(key, packed, event, now, origin)
        heard = self._heard.news(event)
        if heard is None:
            return outcome
        report = event_of(heard, event)
        publication = (BY_KEY, FEED.name, report.person.encode(), *self._form.write(report))
        return outcome._replace(publish=(*outcome.publish, publication))
