"""Explains a rule in plain words, from its data alone.

Owns the sentences of `carerelay rules show` and of the rule book, for readers who do not know Python: what opens the handoff, who
is accountable, when it is due, and what closes it. Must not know a person or decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from textwrap import TextWrapper
from typing import Final

from agents.coordination.reference.calendar import Unit
from agents.coordination.rules.facts.values import GROUPS
from agents.coordination.rules.rule import COMMON_LADDER, Closing, Condition, Limits, Overlay, Rule, Scalar, Step, Tell, Where, moment_of
from agents.coordination.rules.wording import EVENT, FACT, UNIT, VALUE, clock_words, role_in_words

WIDTH: Final = 100

COMMON: Final = tuple(
    " ".join(paragraph.split())
    for paragraph in """
At most one handoff of a rule is open for each encounter, referral, goal, appointment, notification or person, whichever the
rule is about. If the event that opens it happens again while it is open, nothing changes, unless the rule says otherwise.

A handoff has exactly one owner at any time. If nobody is known for a role, the organisation's pool for that role takes its
place; if there is none, the directory's fallback pool does.

Minutes and hours are elapsed time: they run at night, at weekends and on holidays. Hours of open days leave out Saturdays,
Sundays and public holidays.

A clock in days, weeks or months ends at 24:00 local time of its last day. The day after the trigger is the first day. Care on
the day of the trigger counts, unless the rule says otherwise.

Business days are Monday to Friday without public holidays.

The local time and the holidays are those of the accountable organisation. They are those of the facility if the rule says so, or
if the directory does not know the accountable organisation.

Each recipient gets one notification that the gap is open, even if several steps name them. When the handoff closes, they get
another one.

After the last step the handoff stays open with its owner. It is in the weekly report (carerelay report) until it is closed.

If the closing event happened in time but is reported late, the handoff counts as met. If it happened after the due time, it
counts as met late. Reports count for 30 days after the handoff closed, unless the rule says otherwise.

A handoff is cancelled when the event that opened it is cancelled. It is no longer applicable when the person dies.

An open handoff keeps the version of the rule that it was opened with.
""".strip().split("\n\n")
)
"""What applies to every rule."""

COMMON_STEPS: Final = "The common steps:"


def explain(rule: Rule) -> str:
    """Return *rule* in plain words, part by part, followed by what applies to every rule."""
    lines = [f"{rule.id}: {rule.title}"]
    if rule.about.strip():
        lines += ["", *_wrap(rule.about.strip(), "")]
    for heading, sentences in (*parts(rule), ("For every rule", COMMON)):
        lines += ["", heading]
        for sentence in sentences:
            lines += _wrap(sentence, "  - ")
    return "\n".join(lines) + "\n"


def explain_change(rule: Rule, changed: Rule, overlay: Overlay) -> str:
    """Return in plain words how *overlay* changes *rule*: the sentences that it adds and those that it removes."""
    kinds = {
        "profile": overlay.profiles,
        "locality": overlay.localities,
        "organisation": overlay.organisations,
        "programme": overlay.programmes,
    }
    where = [f"in the {kind} {_list(names, 'or')}" for kind, names in kinds.items() if names]
    lines = [f"With the overlay {overlay.id}, {_list(where, 'or') if where else 'everywhere'}"]
    if not changed.enabled:
        return "\n".join([*lines, *_wrap("The rule is switched off.", "  - ")]) + "\n"
    for (heading, before), (_, after) in zip(parts(rule), parts(changed), strict=True):
        lines += [line for said in after if said not in before for line in _wrap(f"{heading}: {said}", "  - now: ")]
        lines += [line for said in before if said not in after for line in _wrap(f"{heading}: {said}", "  - no longer: ")]
    return "\n".join(lines) + "\n"


def parts(rule: Rule) -> list[tuple[str, list[str]]]:
    """Return what is specific to *rule*: each heading with its sentences."""
    return [
        ("When it opens", list(_opens(rule))),
        ("Who is accountable", list(_owner(rule))),
        ("When it is due", list(_due(rule))),
        ("What happens until it is closed", list(_ladder(rule))),
        ("What closes it", list(_closes(rule))),
        ("What else ends it", list(_ends(rule))),
        ("Where it comes from", list(_origin(rule))),
    ]


def common_steps() -> list[str]:
    """Return the steps of a rule that has no steps of its own."""
    return [_step(step) for step in COMMON_LADDER]


def due_in_words(rule: Rule) -> str:
    """Return the clock of *rule* in a few words, with the clocks of its cases in brackets: `4 hours (1 business day)`."""
    if rule.until is not None:
        return f"{fact_in_words(rule.until)}, else {clock_words(rule.clock)}"
    others = dict.fromkeys(clock_words(case.clock) for case in rule.cases)
    return f"{clock_words(rule.clock)} ({', '.join(others)})" if others else clock_words(rule.clock)


def fact_in_words(name: str) -> str:
    """Return a fact in plain words, as part of a condition."""
    return FACT.get(name, f"the {name.replace('_', ' ')}")


def conditions_in_words(where: Where) -> str:
    """Return conditions as `the age in years is at least 6, and the setting is emergency`."""
    return ", and ".join(_condition(name, condition) for name, condition in where.items())


# ---- the parts


def _opens(rule: Rule) -> Iterable[str]:
    starts = {
        "event": "",
        "admission": " The clock starts at the admission.",
        "discharge": " The clock starts at the discharge.",
        "second-setback": " The clock starts at the second setback in a row.",
    }
    for trigger in rule.triggers:
        yield _sentence(f"when {_event(trigger.event, trigger.where)}") + starts[trigger.counts_from]
    again = {
        "restart": "If this happens again while the handoff is open, a new handoff with a new clock supersedes it.",
        "extend": "Each new message about the encounter restarts the clock until the handoff is due.",
        "renew": "When the handoff closes, the event that closes it may open the next one.",
    }
    if rule.again in again:
        yield again[rule.again]
    yield f"It is about one {rule.subject}."


def _owner(rule: Rule) -> Iterable[str]:
    yield _sentence(role_in_words(rule.accountable))
    if rule.task == "due":
        yield "Until it is due, its task is a draft: it can be looked up, but no worklist shows it, and nobody has to act."
    if rule.sensitivity != "normal":
        yield f"It is sensitive ({rule.sensitivity}): only recipients with the person's permission are notified."
    if rule.neutral_title != rule.title:
        yield f'Readers who may not know the reason see: "{rule.neutral_title}".'


def _due(rule: Rule) -> Iterable[str]:
    clock = rule.clock
    if rule.until is not None:
        yield f"On {fact_in_words(rule.until)}; {clock_words(clock)} if that is not known."
    else:
        yield _sentence(clock_words(clock))
    for case in rule.cases:
        yield f"{clock_words(case.clock)} if {conditions_in_words(case.where)}."
    for shortening in rule.shortens:
        when = _event(shortening.event, shortening.where)
        if shortening.clock.amount == 0:
            yield f"Earlier, at the end of that day, when {when}."
        else:
            yield f"Earlier, {clock_words(shortening.clock)} after it, when {when}."
    if not clock.day_zero:
        yield "Care on the day of the trigger does not count."
    if rule.calendar == "facility":
        yield "The local time and the holidays of the facility count."


def _ladder(rule: Rule) -> Iterable[str]:
    if not rule.steps:
        yield COMMON_STEPS
    for step in rule.steps or COMMON_LADDER:
        yield _step(step)


def _step(step: Step) -> str:
    moment = moment_of(step.at if isinstance(step.at, str) else next(iter(step.at.values())))
    what: list[str] = []
    if step.then == "assume-finished":
        what.append("the encounter is marked as finished, by assumption")
    if moment.base == "due" and moment.clock is None:
        what.append("the gap is open")
    elif moment.before_due:
        what.append('the worklist shows "due soon"')
    if step.owner is not None:
        what.append(f"{role_in_words(step.owner)} becomes accountable")
    what.append(_notified(step.tells))
    only = f", if {conditions_in_words(step.where)}" if step.where else ""
    return _sentence(f"{_at(step.at)}{only}: {'; '.join(what)}")


def _at(at: str | dict[Unit, str]) -> str:
    if not isinstance(at, str):
        return ", or ".join(f"{_at(moment)} if the clock counts in {UNIT[unit][1]}" for unit, moment in at.items())
    moment = moment_of(at)
    if moment.base == "share":
        return "at half of the time" if moment.share == 0.5 else f"at {round(moment.share * 100)} % of the time"
    if moment.clock is None:
        return "at the due time"
    clock = clock_words(moment.clock)
    if moment.base == "trigger":
        return f"{clock} after the trigger"
    return f"{clock} {'before' if moment.sign < 0 else 'after'} the due time"


def _notified(tells: Sequence[Tell]) -> str:
    if not tells:
        return "nobody is notified"
    roles = [role_in_words(tell.role) for tell in tells]
    asked = [role_in_words(tell.role) for tell in tells if tell.asks_acknowledgement]
    notified = f"{_all(roles)} {'is' if len(roles) == 1 else 'are'} notified"
    return notified + (f"; {_all(asked)} {'is' if len(asked) == 1 else 'are'} asked to acknowledge" if asked else "")


def _closes(rule: Rule) -> Iterable[str]:
    if len(rule.closes) > 1 and rule.closes_when == "all":
        yield "All of these are needed:"
    for closing in rule.closes:
        yield _sentence(_closing(closing))
    if rule.completable:
        yield "When the owner completes the task."
    elif rule.closes:
        yield "Completing the task by hand does not close it."
    if rule.late_window_days != 30:
        yield f"Reports count for {rule.late_window_days} days after it closed."


def _closing(closing: Closing) -> str:
    words = f"when {_event(closing.event, closing.where)}"
    if closing.count > 1:
        words = f"{closing.count} times {words}"
    if closing.based_on:
        words += ", and it names the referral that it is based on, and when it ended"
    if closing.standing:
        words += "; it may have happened before the trigger"
    if closing.from_day_zero:
        words += "; it may have happened earlier on the day of the trigger"
    if closing.not_before is not None:
        words += f", not before {clock_words(closing.not_before)} after the trigger"
    return words


def _ends(rule: Rule) -> Iterable[str]:
    closure = {"superseded": "superseded", "not-applicable": "no longer applicable", "cancelled": "cancelled"}
    for ending in rule.ends:
        yield _sentence(f"{closure[ending.closure]} when {_event(ending.event, ending.where)}")


def _origin(rule: Rule) -> Iterable[str]:
    yield _sentence(" ".join(rule.source.split()))
    where = f"in the profile{'s' if len(rule.profiles) > 1 else ''} {_all(rule.profiles)}" if rule.profiles else "in every profile"
    force = where if rule.enabled else f"{where}, but switched off unless an overlay switches it on"
    since = f", from {_day(rule.effective_from)}" if rule.effective_from > date(1970, 1, 1) else ""
    until = f" until {_day(rule.effective_to)}" if rule.effective_to is not None else ""
    yield f"Version {rule.version}, in force {force}{since}{until}."


# ---- words


def _event(event: str, where: Where) -> str:
    conditions = dict(where)
    words = EVENT[event].when if event in EVENT else event
    code = conditions.pop("code", None)
    if event == "CareActivityRecorded" and code is not None and not isinstance(code, Limits):
        words = f"care is recorded as {_any(code)}"
        if conditions.get("status") == "completed":
            conditions.pop("status")
            words += " and completed"
    elif code is not None:
        conditions["code"] = code
    return f"{words}, if {conditions_in_words(conditions)}" if conditions else words


def _condition(name: str, condition: Condition) -> str:
    fact = fact_in_words(name)
    if isinstance(condition, bool):
        return fact if condition else _denied(fact)
    if not isinstance(condition, Limits):
        return f"{fact} is {_any(condition, name)}"
    said: list[str] = []
    if condition.known is not None:
        said.append("is known" if condition.known else "is not known")
    if condition.not_ is not None:
        said.append(f"is not {_any(condition.not_, name)}")
    if condition.at_least is not None:
        said.append(f"is at least {condition.at_least:g}")
    if condition.at_most is not None:
        said.append(f"is at most {condition.at_most:g}")
    return f"{fact} {' and '.join(said)}{' or not known' if condition.or_unknown else ''}"


def _denied(statement: str) -> str:
    """Negate a statement at its verb: `it is a review` becomes `it is not a review`."""
    for verb in (" is ", " has never been "):
        before, found, after = statement.partition(verb)
        if found:
            return f"{before}{verb.replace(' never', '')}{'' if 'never' in verb else 'not '}{after}"
    return f"it is not true that {statement}"


def _any(values: Scalar | tuple[Scalar, ...], of: str = "") -> str:
    words = VALUE.get(of, {})

    def said(value: str) -> str:
        # Only the last part of a group's name is shown: `fmc/heart-failure` is heart failure.
        return words.get(value, value.rpartition("/")[2].replace("-", " ") if of in GROUPS else value)

    return _list([said(str(value)) for value in (values if isinstance(values, tuple) else (values,))], "or")


def _all(values: Sequence[str]) -> str:
    return _list(values, "and")


def _list(values: Sequence[str], joint: str) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} {joint} {values[-1]}"


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', ':')) else '.'}"


def _wrap(text: str, bullet: str) -> list[str]:
    return TextWrapper(
        WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=False, break_on_hyphens=False
    ).wrap(text)
