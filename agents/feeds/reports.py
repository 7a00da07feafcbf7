"""Reports of when a source last sent, for the feeds agent: at most one report per source and minute from each shard.

Owns which events count, and the wrapper that adds reports to the output of another agent. Must not know when a silence is too
long. The records of a source are spread over all shards, so no single shard can detect that a source is silent.
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
"""How many sources a process keeps in memory. If there are more, some sender probably varies its name: the memory is cleared."""

WATCHED = frozenset(kind for topic in INBOUND if topic not in (DELIVERY, RESPONSE, RELAY) for kind in topic.types)
"""Types of events that a hospital, practice or service sends. CareRelay's own delivery reports and responses do not count as a feed."""


class SourceReports:
    """The minutes that were already reported. Kept in memory only: after a restart each source is reported again, which is harmless."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def report_for(self, event: Event) -> FeedHeard | None:
        """Return a report if the minute in which *event* arrived has not been reported for its source, else None."""
        source, arrival = event.source, event.arrival
        if arrival < self._next.get(source, 0) or type(event.data) not in WATCHED:
            return None
        if len(self._next) >= SOURCES_MAX:
            self._next.clear()
        self._next[source] = (arrival // MINUTE_MS + 1) * MINUTE_MS
        return FeedHeard(source, arrival)


def event_of(report: FeedHeard, cause: Event) -> Event:
    """Return the event that carries *report*. Its id is derived from *cause*, so the same cause always gives the same id."""
    identity = "feed-" + hashlib.sha256(f"{cause.source}\x1f{cause.id}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return Event(identity, SOURCE, report.seen, cause.arrival, feed_key(report.source), report)


class Reporting:
    """Wraps *agent*, which reads inbound events, and adds reports about their sources to what it publishes."""

    def __init__(self, agent: Agent, form: Form) -> None:
        self._decide = agent.decide
        self._form = form
        self._reports = SourceReports()
        self.inbound, self.relay, self.dead_letters = agent.inbound, agent.relay, agent.dead_letters
        self.read, self.wrap = agent.read, agent.wrap
        self.expire, self.after_failure = agent.expire, agent.after_failure
        self.deadline, self.open_handoffs = agent.deadline, agent.open_handoffs

    def decide(self, key: bytes, packed: bytes | None, event: Event, now: Millis, origin: Origin) -> Outcome:
        """Apply one event. A report is published under the key of its source, which may belong to another shard."""
        outcome = self._decide(key, packed, event, now, origin)
        report = self._reports.report_for(event)
        if report is None:
            return outcome
        carrier = event_of(report, event)
        publication = (BY_KEY, FEED.name, carrier.person.encode(), *self._form.write(carrier))
        return outcome._replace(publish=(*outcome.publish, publication))
