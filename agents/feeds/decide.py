"""Decides when a silence is too long: the core of FEED-1.

Owns the effects of a report about a source and of its deadline: a gap and a task for the interface team, the escalation to
operations, and the closing. Pure: the same arguments always give the same decision.

Silence starts at the end of the minute in which the source last sent, because shards report minutes. It may last for three usual
gaps. A usual gap is one that 95 of 100 gaps do not exceed. For a source that sends at regular intervals it is the interval; for one
that sends at random it is about three times the mean gap. Each hour of the silence is measured with the gap of that hour of the
week, so that long gaps at night do not hide a silence on a busy morning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from agents.coordination.reference.ids import derive
from agents.feeds.rule import FeedOwners, FeedRule
from agents.feeds.state import (
    FORGET_WEEKS,
    HOUR_MINUTES,
    LOOK_AHEAD_HOURS,
    MINUTE_MS,
    WEEK_HOURS,
    Feed,
    learn,
    learn_unevenness,
    mean_gap_minutes,
    missed_gaps,
    new_feed,
)
from agents.feeds.wording import allowed, instant, span
from streams.contract.address import Address
from streams.contract.effects import Effect, FeedHeard, GapState, NotificationIssued, NotificationWithdrawn, TaskState
from streams.contract.events import Millis, PersonKey

DAY_MS: Final = 86_400_000
Decision = tuple[Feed | None, tuple[Effect, ...]]
"""The state to keep (None: delete it), and the effects in their order."""

_TITLES: Final = {
    "met-late": "The source sends again",
    "not-applicable": "The source is no longer monitored",
}


@dataclass(frozen=True, slots=True)
class FeedPolicy:
    """What every decision needs besides the source: the rule, and who is accountable."""

    rule: FeedRule
    owners: FeedOwners


def apply_report(feed: Feed | None, report: FeedHeard, key: PersonKey, now: Millis, cause: str, *, policy: FeedPolicy) -> Decision:
    """Apply a report about a source. Mutates *feed*.

    *now* is the arrival time of the report, which is later than `report.seen` if shards are behind. A report that is not newer than
    the state changes nothing.
    """
    rule, seen = policy.rule, report.seen
    minute = seen // MINUTE_MS
    if feed is not None and minute <= feed.last:
        return feed, ()
    effects: tuple[Effect, ...] = ()
    if feed is None:
        feed = new_feed(report.source, seen, cause)
    else:
        # If the source sent before the alarm, only the report is late, because shards were behind: the source was never silent.
        was_silent = feed.step > 0 and seen > feed.opened
        if feed.step:
            effects = _Draft(feed, key, now, cause, policy).end(seen)
        if (minute - feed.last) // HOUR_MINUTES > FORGET_WEEKS * WEEK_HOURS:
            feed = new_feed(report.source, seen, cause)
        else:
            learn_unevenness(feed, missed_gaps(feed, feed.last, minute, rule))
            learn(feed, minute, was_silent=was_silent)
    feed.seen, feed.cause = seen, cause
    feed.step, feed.handoff, feed.opened, feed.notified = 0, "", 0, ()
    limit = silent_too_long_at(feed, rule)
    # While shards catch up, reports arrive late. So the deadline is never earlier than *now* plus the minimum silence.
    feed.due = forgotten_at(feed, rule) if limit is None else max(limit, now + rule.floor_minutes * MINUTE_MS)
    return feed, effects


def silent_too_long_at(feed: Feed, rule: FeedRule) -> Millis | None:
    """Return when the silence since the source last sent becomes too long; None if no usual gap is known."""
    begin = feed.last + 1
    at, missed, most = float(begin), 0.0, rule.usual_gaps * feed.uneven / 100
    for hour in range(begin // HOUR_MINUTES, begin // HOUR_MINUTES + LOOK_AHEAD_HOURS):
        left = (hour + 1) * HOUR_MINUTES - at
        gap = mean_gap_minutes(feed, hour, rule)
        if gap and missed + left / gap >= most:
            at += (most - missed) * gap
            return Millis(max(_whole_seconds(at), (begin + rule.floor_minutes) * MINUTE_MS))
        missed += left / gap if gap else 0.0
        at += left
    return None


def forgotten_at(feed: Feed, rule: FeedRule) -> Millis:
    """Return when the state of a silent source is deleted."""
    return Millis(feed.seen + rule.forgotten_after_days * DAY_MS)


def fire_deadline(feed: Feed, key: PersonKey, *, policy: FeedPolicy) -> Decision:
    """Fire the deadline of *feed*. Mutates *feed*."""
    rule, at = policy.rule, Millis(feed.due)
    draft = _Draft(feed, key, at, feed.cause, policy)
    silent = f"{_name(rule)}: {feed.source} has sent nothing since {instant(feed.seen)}"
    forgotten = forgotten_at(feed, rule)
    if at >= forgotten:
        why = f"{silent}, for {rule.forgotten_after_days} days. The source is no longer monitored."
        return None, draft.close("not-applicable", why) if feed.step else ()
    why = f"{silent}; {allowed(feed, rule)}."
    if feed.step == 0:
        feed.step, feed.opened = 1, at
        feed.handoff = derive(rule.id, feed.source, str(feed.last))
        feed.due = min(at + rule.escalates_after_minutes * MINUTE_MS, forgotten)
        return feed, draft.open(policy.owners.first, why)
    feed.step, feed.due = 2, forgotten
    return feed, draft.open(policy.owners.second, f"{why} The task moves from {rule.accountable} to {rule.next}.")


# ---- private


def _whole_seconds(minutes: float) -> int:
    """Convert minutes to milliseconds, rounded up to a whole second so that floating-point errors make no difference."""
    return -int(-(minutes * 60 - 1e-6) // 1) * 1000


def _name(rule: FeedRule) -> str:
    return f"Rule {rule.id} version {rule.version}"


@dataclass(frozen=True, slots=True)
class _Draft:
    """The effects of one decision about one source."""

    feed: Feed
    key: PersonKey
    at: Millis
    cause: str
    policy: FeedPolicy

    def open(self, owner: str, why: str) -> tuple[Effect, ...]:
        """Show the gap as open with *owner*, and notify them."""
        issued = self._notice(owner, why, "open")
        self.feed.notified = (*self.feed.notified, (issued.id, owner))
        return (*self._states("open", "requested", None, owner, why), issued)

    def end(self, seen: Millis) -> tuple[Effect, ...]:
        """Close the gap as met late. If the source sent in time, close it as met and withdraw the notifications."""
        feed, rule = self.feed, self.policy.rule
        if seen > feed.opened:
            return self.close("met-late", f"{_name(rule)}: {feed.source} sent again at {instant(seen)}, after {span(seen - feed.seen)}.")
        why = f"{_name(rule)}: {feed.source} sent at {instant(seen)}, in time, but its record was processed late."
        return (*self._states("closed", "completed", "met", self._owner, why), *self._withdrawals(why))

    def close(self, closure: str, why: str) -> tuple[Effect, ...]:
        """Close the gap, and notify everybody who was notified of it."""
        done = "completed" if closure == "met-late" else "cancelled"
        notices = (self._notice(recipient, why, closure) for _, recipient in self.feed.notified)
        return (*self._states("closed", done, closure, self._owner, why), *notices)

    @property
    def _owner(self) -> str:
        return self.policy.owners.second if self.feed.step > 1 else self.policy.owners.first

    def _states(self, gap: str, task: str, closure: str | None, owner: str, why: str) -> tuple[Effect, ...]:
        """Return the gap and the task with the given states."""
        feed, rule = self.feed, self.policy.rule

        def id_of(kind: str) -> str:
            return derive(rule.id, feed.handoff, kind, gap, str(feed.step), self.cause)

        shown: dict[str, Any] = {
            "at": self.at,
            "person": self.key,
            "cause": self.cause,
            "rule": rule.id,
            "rule_version": rule.version,
            "handoff": feed.handoff,
            "owner": owner,
            "due": Millis(feed.opened),
            "step": feed.step,
            "title": rule.title,
            "neutral_title": rule.neutral_title,
            "why": why,
            "closure": closure,
            "opened_at": Millis(feed.seen),
        }
        return GapState(id=id_of("gap"), state=gap, **shown), TaskState(id=id_of("task"), state=task, **shown)

    def _notice(self, recipient: str, why: str, mark: str) -> NotificationIssued:
        feed, rule = self.feed, self.policy.rule
        return NotificationIssued(
            id=derive(rule.id, feed.handoff, mark, recipient),
            at=self.at,
            person=self.key,
            cause=self.cause,
            rule=rule.id,
            rule_version=rule.version,
            recipient=recipient,
            role=Address.parse(recipient).role,
            title=_TITLES.get(mark, rule.title),
            neutral_title=_TITLES.get(mark, rule.neutral_title),
            why=why,
            urgency=rule.urgency if mark == "open" else "routine",
            handoff=feed.handoff,
        )

    def _withdrawals(self, why: str) -> tuple[Effect, ...]:
        feed, rule = self.feed, self.policy.rule
        return tuple(
            NotificationWithdrawn(
                id=derive(rule.id, feed.handoff, "withdrawn", recipient),
                at=self.at,
                person=self.key,
                cause=self.cause,
                rule=rule.id,
                rule_version=rule.version,
                notification=id_,
                recipient=recipient,
                role=Address.parse(recipient).role,
                why=why,
            )
            for id_, recipient in feed.notified
        )
