"""Explains FEED-1 in plain words. Owns the sentences; all numbers come from the rule."""

from __future__ import annotations

from textwrap import fill

from agents.feeds.rule import FeedRule


def explain(rule: FeedRule) -> str:
    """Return the rule in plain words: when it opens, who is accountable, what happens until it is closed, and what closes it."""
    role, after = (name.replace("-", " ") for name in (rule.accountable, rule.next))
    return f"""{rule.id}: {rule.title}

{fill(rule.about.strip(), 98)}

When it opens
  - When a source is silent for longer than {rule.usual_gaps:g} times its usual gap for that hour of the week, and for at least
    {rule.floor_minutes} minutes.
  - The usual gap of an hour of the week is known after that hour was observed {rule.hour_known_after} times. Before that, the same
    hour of all days is used.
  - At most one handoff is open for each source.

Who is accountable
  - The {role}.

What happens until it is closed
  - When it opens: the gap is open, and the {role} is notified ({rule.urgency}).
  - {rule.escalates_after_minutes} minutes later: {after} becomes accountable and is notified.
  - After {rule.forgotten_after_days} days of silence the source is no longer monitored.

What closes it
  - Any record from the source.
  - If the source was not silent and only its records arrived late, the notification is withdrawn.

Where it comes from
  - {rule.source}.
  - Version {rule.version}."""
