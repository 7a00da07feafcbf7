"""When a source was last heard: what shards report, at most once a minute and source, for whoever watches the feeds.

Owns which events count as a source's own, and the minute. Knows no rule of
silence. A source's messages are spread over all shards, so no shard alone can say that it went silent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from streams.avro.codec import STANDARD, Codec
from streams.contract.cloudevents import headers_of
from streams.contract.effects import FeedHeard
from streams.contract.events import Event, Millis
from streams.contract.feed_key import feed_key
from streams.contract.topics import DELIVERY, FEED, INBOUND, RELAY, RESPONSE
from streams.intake.reading import Arrived
from streams.kafka.transactions import Headers

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


def record_of(event: Event, codec: Codec = STANDARD) -> tuple[str, bytes, bytes, Headers]:
    """Return topic, key, value and headers of the record of an `event_of`."""
    return FEED.name, event.person.encode(), codec.frame(event.data), headers_of(event)


def with_heard(arrivals: Iterable[Arrived]) -> Iterator[Arrived]:
    """Yield *arrivals* and after each that is news of its source what a shard would report: the replay's part of a shard."""
    heard = Heard()
    latest = Millis(0)
    for arrived in arrivals:
        yield arrived
        if isinstance(arrived.item, Event):
            latest = max(latest, arrived.arrival)
            news = heard.news(arrived.item)
            if news is not None:
                yield Arrived(event_of(news, arrived.item), latest, arrived.where)
