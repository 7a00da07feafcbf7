"""FEED-1 in plain words, from its data. Owns the sentences, no number."""

from __future__ import annotations

from textwrap import fill

from agents.feeds.rule import FeedRule


def explain(rule: FeedRule) -> str:
    """Say what the rule watches, when it opens, whose it is, what happens meanwhile and what ends it."""
    role, after = (name.replace("-", " ") for name in (rule.accountable, rule.next))
    return f"""{rule.id}: {rule.title}

{fill(rule.about.strip(), 98)}

When it opens
  - When a source is silent for longer than {rule.usual_gaps:g} times its usual gap for that hour of the week, and for at least
    {rule.floor_minutes} minutes.
  - An hour of the week is known after {rule.hour_known_after} such hours; before that, the same hour of all days stands in.
  - It is about one source: never two of them open at once for the same source.

Whose it is
  - The {role} is accountable from the beginning, and nobody else at the same time.

What happens meanwhile
  - When it opens: the gap is open, and the {role} is told ({rule.urgency}).
  - {rule.escalates_after_minutes} minutes later: the owner is {after}, who is told.
  - After {rule.forgotten_after_days} days it is no feed any more, and is forgotten.

What closes it
  - Any record of the source.
  - If the source turns out never to have been silent, the alarm is withdrawn.

Where it comes from
  - {rule.source}.
  - Version {rule.version}."""
