"""A rule in plain words, from its data alone.

Owns wording: what `carerelay rules show` prints, so that a reader without Python knows what happens when. Must not know a
person, decide anything, or say what the rule's data do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from textwrap import TextWrapper
from typing import Final

from agents.coordination.reference.calendar import ELAPSED_MS, Clock, Unit
from agents.coordination.rules.explain_words import FACT, ROLE, UNIT, VALUE, WHEN
from agents.coordination.rules.rule import COMMON_LADDER, Closing, Condition, Limits, Overlay, Rule, Scalar, Step, Tell, Where, moment_of

WIDTH: Final = 100


def explain(rule: Rule) -> str:
    """Return *rule* in plain words: what opens it, whose it is, until when, what happens meanwhile, and what ends it."""
    lines = [f"{rule.id}: {rule.title}"]
    if rule.about.strip():
        lines += ["", *_wrap(rule.about.strip(), "")]
    for heading, sentences in _parts(rule):
        lines += ["", heading]
        for sentence in sentences:
            lines += _wrap(sentence, "  - ")
    return "\n".join(lines) + "\n"


def explain_change(rule: Rule, changed: Rule, overlay: Overlay) -> str:
    """Return in plain words what *overlay* makes of *rule*: what is said of it then and what is not, part by part."""
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
    for (heading, before), (_, after) in zip(_parts(rule), _parts(changed), strict=True):
        lines += [line for said in after if said not in before for line in _wrap(f"{heading}: {said}", "  - now: ")]
        lines += [line for said in before if said not in after for line in _wrap(f"{heading}: {said}", "  - no longer: ")]
    return "\n".join(lines) + "\n"


def _parts(rule: Rule) -> list[tuple[str, list[str]]]:
    return [
        ("When it opens", list(_opens(rule))),
        ("Whose it is", list(_owner(rule))),
        ("Until when", list(_until(rule))),
        ("What happens meanwhile", list(_ladder(rule))),
        ("What closes it", list(_closes(rule))),
        ("What else ends it", list(_ends(rule))),
        ("Where it comes from", list(_origin(rule))),
    ]


def clock_in_words(clock: Clock) -> str:
    """Return a clock as `2 business days`."""
    one, many = UNIT[clock.unit]
    return f"{clock.amount} {one if clock.amount == 1 else many}"


def conditions_in_words(where: Where) -> str:
    """Return conditions as `the age in years is at least 6, and the setting is emergency`."""
    return ", and ".join(_condition(name, condition) for name, condition in where.items())


# ---- the parts


def _opens(rule: Rule) -> Iterable[str]:
    for trigger in rule.triggers:
        yield _sentence(f"when {_event(trigger.event, trigger.where)}")
    yield {
        "keep": "If that happens again while it is open, it stays as it is, with its clock.",
        "restart": "If that happens again while it is open, the open one is superseded and a new one begins with a new clock.",
        "extend": "Its clock counts from the last word of the stay: each message of it begins the time anew, until it is due.",
        "renew": "If that happens again while it is open, it stays as it is; once it is closed, the next one begins with it.",
    }[rule.again]
    about = {"encounter": "stay", "person": "person", "notification": "notification"}.get(rule.subject, rule.subject)
    yield f"It is about one {about}: never two of them open at once for the same {about}."


def _owner(rule: Rule) -> Iterable[str]:
    yield _sentence(f"{_role(rule.accountable)} is accountable from the beginning, and nobody else at the same time")
    yield "Where nobody is known for that role, the organisation's pool for it is; failing that the directory's fallback pool."
    if rule.task == "due":
        yield "Until it is due its task is a draft: it can be looked up, but stands in no worklist and nobody is asked for it."
    if rule.sensitivity != "normal":
        yield f"It is sensitive ({rule.sensitivity}): only those whom the person permitted are told. The clock and its owner stay."
    if rule.neutral_title != rule.title:
        yield f'Who may not know what it is about reads: "{rule.neutral_title}".'


def _until(rule: Rule) -> Iterable[str]:
    clock = rule.clock
    if rule.until is not None:
        yield f"Until {_fact(rule.until)}; where that is not known, {clock_in_words(clock)}."
    else:
        yield _sentence(clock_in_words(clock))
    for case in rule.cases:
        yield f"Instead {clock_in_words(case.clock)} where {conditions_in_words(case.where)}."
    yield from _clock_meaning(rule)
    for shortening in rule.shortens:
        when = _event(shortening.event, shortening.where)
        if shortening.clock.amount == 0:
            yield f"It is due earlier, at the end of that day, when {when}."
        else:
            yield f"It is due earlier, {clock_in_words(shortening.clock)} after it, when {when}."


def _clock_meaning(rule: Rule) -> Iterable[str]:
    units = {rule.clock.unit, *(case.clock.unit for case in rule.cases)}
    whose = (
        "the facility"
        if rule.calendar == "facility"
        else "the accountable organisation (the facility's where that is not in the directory)"
    )
    if units & set(ELAPSED_MS):
        yield "Hours and minutes are elapsed time: they run on at night, at the weekend and on holidays."
    if "open-hour" in units:
        yield f"Hours of Saturdays, Sundays and public holidays do not count, by the calendar of {whose}."
    if units & {"day", "business-day", "week", "month"}:
        yield f"It ends at 24:00 of the last day, counted from the day after the trigger's own date, in the local time of {whose}."
    if "business-day" in units:
        yield f"Business days are Monday to Friday without the public holidays of {whose}."
    if units & {"day", "business-day", "week", "month"}:
        yield (
            "Care on the trigger's own date counts."
            if rule.clock.day_zero
            else "Care on the trigger's own date does not count; it counts from the next day on."
        )


def _ladder(rule: Rule) -> Iterable[str]:
    if not rule.steps:
        yield "It takes the common ladder:"
    for step in rule.steps or COMMON_LADDER:
        yield _step(step)
    yield "Each is told once that it is open, however many steps name them."
    yield "After the last step it stays open with its owner, and stands in the weekly report (carerelay report), until it is closed."
    yield "When it closes, whoever was told that it stalls is told once that it is over."


def _step(step: Step) -> str:
    moment = moment_of(step.at if isinstance(step.at, str) else next(iter(step.at.values())))
    what: list[str] = []
    if step.then == "assume-finished":
        what.append("the stay is taken to be over, and is marked as assumed")
    if moment.base == "due" and moment.clock is None:
        what.append("the gap is open")
    elif moment.before_due:
        what.append('the worklist shows it as "due soon"')
    if step.owner is not None:
        what.append(f"{_role(step.owner)} becomes accountable")
    what.append(_told(step.tells))
    only = f", if {conditions_in_words(step.where)}" if step.where else ""
    return _sentence(f"{_at(step.at)}{only}: {'; '.join(what)}")


def _at(at: str | dict[Unit, str]) -> str:
    if not isinstance(at, str):
        return ", or ".join(f"{_at(moment)} if the clock counts in {UNIT[unit][1]}" for unit, moment in at.items())
    moment = moment_of(at)
    if moment.base == "share":
        return "when half of the time has gone" if moment.share == 0.5 else f"when {round(moment.share * 100)} % of the time has gone"
    if moment.clock is None:
        return "at the end of the clock"
    clock = clock_in_words(moment.clock)
    if moment.base == "trigger":
        return f"{clock} after the trigger"
    return f"{clock} {'before' if moment.sign < 0 else 'after'} the end of the clock"


def _told(tells: Sequence[Tell]) -> str:
    if not tells:
        return "nobody gets a message"
    roles = [_role(tell.role) for tell in tells]
    asked = [_role(tell.role) for tell in tells if tell.asks_acknowledgement]
    notified = f"{_all(roles)} {'is' if len(roles) == 1 else 'are'} told"
    return notified + (f", and {_all(asked)} asked to acknowledge" if asked else "")


def _closes(rule: Rule) -> Iterable[str]:
    if len(rule.closes) > 1 and rule.closes_when == "all":
        yield "It takes all of these:"
    for closing in rule.closes:
        yield _sentence(_closing(closing))
    if rule.completable:
        yield "Its owner completes the task."
    elif rule.closes:
        yield "To tick the task off is not enough: only what is named here closes it."
    yield "What happened in time but is reported late closes it as met; what happened after the end of the clock, as met late."
    yield f"A report is looked for up to {rule.late_window_days} days after it closed."


def _closing(closing: Closing) -> str:
    words = f"when {_event(closing.event, closing.where)}"
    if closing.count > 1:
        words = f"{closing.count} times {words}"
    if closing.based_on:
        words += ", and it names the referral that it is based on, and when it ended"
    if closing.standing:
        words += ", also where that was before the trigger"
    if closing.from_day_zero:
        words += ", on the trigger's own date even before it"
    if closing.not_before is not None:
        words += f", not before {clock_in_words(closing.not_before)} after the trigger"
    return words


def _ends(rule: Rule) -> Iterable[str]:
    closure = {"superseded": "superseded", "not-applicable": "not applicable any more", "cancelled": "cancelled"}
    for ending in rule.ends:
        yield _sentence(f"{closure[ending.closure]} when {_event(ending.event, ending.where)}")
    about = {"encounter": "admission or discharge", "person": "event"}.get(rule.subject, rule.subject)
    yield f"Cancelled when the {about} that opened it is cancelled."
    yield "Not applicable any more when the person dies."


def _origin(rule: Rule) -> Iterable[str]:
    yield _sentence(" ".join(rule.source.split()))
    where = f"in the profile{'s' if len(rule.profiles) > 1 else ''} {_all(rule.profiles)}" if rule.profiles else "in every profile"
    force = where if rule.enabled else f"{where}, but switched off unless an overlay switches it on"
    since = f", from {_day(rule.effective_from)}" if rule.effective_from > date(1970, 1, 1) else ""
    until = f" until {_day(rule.effective_to)}" if rule.effective_to is not None else ""
    yield f"Version {rule.version}, in force {force}{since}{until}. What is open keeps the version that it was opened with."


# ---- words


def _event(event: str, where: Where) -> str:
    conditions = dict(where)
    words = WHEN.get(event, event)
    code = conditions.pop("code", None)
    if event == "CareActivityRecorded" and code is not None and not isinstance(code, Limits):
        words = f"care is recorded as {_any(code)}"
        if conditions.get("status") == "completed":
            conditions.pop("status")
            words += " and completed"
    elif code is not None:
        conditions["code"] = code
    return f"{words}, and {conditions_in_words(conditions)}" if conditions else words


def _condition(name: str, condition: Condition) -> str:
    fact = _fact(name)
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
    if condition.or_unknown:
        return f"{fact} {' and '.join(said)} or not known"
    return f"{fact} {' and '.join(said)}"


def _denied(statement: str) -> str:
    """Turn a statement round at its verb: `it is a review` becomes `it is not a review`."""
    for verb in (" is ", " has never been "):
        before, found, after = statement.partition(verb)
        if found:
            return f"{before}{verb.replace(' never', '')}{'' if 'never' in verb else 'not '}{after}"
    return f"not so that {statement}"


def _fact(name: str) -> str:
    return FACT.get(name, f"the {name.replace('_', ' ')}")


def _role(role: str) -> str:
    return ROLE.get(role, f"the {role.replace('-', ' ')}")


def _any(values: Scalar | tuple[Scalar, ...], of: str = "") -> str:
    words = VALUE.get(of, {})
    return _list([words.get(str(value), str(value)) for value in (values if isinstance(values, tuple) else (values,))], "or")


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
