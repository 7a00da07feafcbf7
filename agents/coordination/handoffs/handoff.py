"""A handoff: its rule, its calendar, the time of its next step, and how it is closed and reopened.

Owns what opening, escalation, closing events and responses have in common. Must not know a rule by name, or which event
notifies whom.
"""

from __future__ import annotations

from typing import Final, Literal

from agents.coordination.handoffs.effects_draft import EffectsDraft, ref_of, titles_of
from agents.coordination.handoffs.notify import alert, overdue_urgency
from agents.coordination.person.care_team import programmes_of
from agents.coordination.person.state import End, Handoff, Person
from agents.coordination.reference.calendar import Unit, after_due, due_at, fraction_at
from agents.coordination.reference.directory import Directory, Organisation
from agents.coordination.reference.ids import derive, uuid_bytes, uuid_text
from agents.coordination.rules.catalogue import CompiledRule, CompiledStep
from agents.coordination.rules.rule import Rule
from agents.coordination.rules.wording import due_words
from agents.coordination.rules.world import Context, World
from streams.contract.address import Address
from streams.contract.effects import NotificationIssued
from streams.contract.events import Millis

REQUESTED, RECEIVED, ACCEPTED, IN_PROGRESS, ON_HOLD, COMPLETED, CANCELLED, REJECTED, FAILED, DRAFT = range(10)
"""Indices into `state.TASK_STATUS`."""
DUE_SOON, OPEN = 1, 2
"""Indices into `effects_draft.GAP_STATES`."""

UNITS: Final[tuple[Unit | Literal[""], ...]] = ("", "minute", "hour", "open-hour", "day", "business-day", "week", "month")
"""`Handoff.unit`: the unit of its clock; empty if a fact gives the due time."""

_DAY_UNITS: Final[tuple[str, ...]] = ("day", "business-day", "week", "month")


# ---- rule and calendar


def home_of(handoff: Handoff, person: Person, world: World) -> Organisation:
    """Return the organisation whose rules apply to *handoff*."""
    if handoff.organisation:
        return world.directory.organisations.get(handoff.organisation, world.directory.default)
    encounter = person.encounter_numbered(handoff.encounter)
    return world.directory.of_facility(encounter.facility) if encounter is not None else world.directory.default


def calendar_of(handoff: Handoff, person: Person, world: World) -> Organisation:
    """Return the organisation whose time zone and holidays count for *handoff*."""
    known = world.directory.organisations.get(handoff.calendar) if handoff.calendar else None
    return known or home_of(handoff, person, world)


def rule_of(handoff: Handoff, person: Person, world: World) -> CompiledRule | None:
    """Return the rule version that opened *handoff*, or None if the catalogue no longer has it. Then only people can close the handoff."""
    view = world.catalogue.view(home_of(handoff, person, world), programmes_of(person, Millis(handoff.opened_at)))
    return world.catalogue.find(view, handoff.rule, handoff.version)


def acknowledgement_of(notice: NotificationIssued, handoffs: list[Handoff]) -> Handoff | None:
    """Return the handoff among *handoffs* that asks for the acknowledgement of *notice*."""
    wanted = uuid_bytes(notice.id)
    return next((h for h in handoffs if h.notification == wanted), None)


def appointment_focus(context: Context) -> str:
    """Return the focus of a handoff about the context's appointment: the id of its referral, or its own id if it has no referral.

    With the referral as the focus, another appointment for that referral counts too. An appointment may name a referral whose request
    has not arrived yet.
    """
    if context.referral is not None:
        return context.referral.id
    return (context.appointment.referral or context.appointment.id) if context.appointment is not None else ""


# ---- the next step


def _instant_of(step: CompiledStep, handoff: Handoff, calendar: Organisation) -> Millis:
    m = step.moment(UNITS[handoff.unit])
    opened, due = Millis(handoff.opened_at), Millis(handoff.due)
    if m.base == "share":
        return fraction_at(opened, due, m.share)
    if m.clock is None:
        return due
    if m.sign < 0:
        return Millis(due - (due_at(m.clock, Millis(0), "UTC", calendar.holidays)))
    if m.base == "due":
        return after_due(m.clock, due, calendar.zone, calendar.holidays)
    return due_at(m.clock, opened, calendar.zone, calendar.holidays)


def schedule_next_step(handoff: Handoff, rule: CompiledRule | None, not_before: int, calendar: Organisation, directory: Directory) -> None:
    """Set the next deadline: the next step, at *not_before* or later, or the start of the owner's absence if that is earlier."""
    at = next_step_at(handoff, rule, calendar)
    absence = directory.cover_begins(Address.parse(handoff.owner).party, not_before)
    if at is not None:
        at = Millis(max(at, not_before))
    handoff.next_at = at or 0 if absence is None else absence if at is None else min(at, absence)


def next_step_at(handoff: Handoff, rule: CompiledRule | None, calendar: Organisation) -> Millis | None:
    """Return the time of the next step by *calendar*, or None after the last step."""
    if rule is None or handoff.next_step >= len(rule.steps):
        return None
    return _instant_of(rule.steps[handoff.next_step], handoff, calendar)


def skip_warnings(handoff: Handoff, rule: CompiledRule, now: int) -> None:
    """Skip the steps before the due time if *handoff* is already due: an overdue handoff is not due soon."""
    if handoff.due <= now:
        while handoff.next_step < len(rule.steps) and rule.steps[handoff.next_step].moment(UNITS[handoff.unit]).before_due:
            handoff.next_step += 1


def due_text(handoff: Handoff, zone: str) -> str:
    """Return when *handoff* is due, as `by …`: the end of a day for clocks in days or longer units, else the instant."""
    return due_words(UNITS[handoff.unit] in _DAY_UNITS, handoff.due, zone)


def first_status(rule: Rule, due: int, now: int) -> int:
    """Return the status of a new task: draft if nobody needs to act before it is due, else requested."""
    return DRAFT if rule.task == "due" and due > now else REQUESTED


# ---- closing and reopening


def _closing_words(closure: str, *, reported_late: bool) -> str:
    """Return what a closure means for the task. Empty if superseded: the caller says what replaces it."""
    match closure:
        case "met" if reported_late:
            return " This was before the deadline but was reported after it, so the task counts as done in time."
        case "met":
            return " The task is done in time."
        case "met-late":
            return " The task is done, but after the deadline."
        case "not-applicable":
            return " The task is no longer needed."
        case "cancelled":
            return " The task is cancelled."
    return ""


def close(
    draft: EffectsDraft,
    handoff: Handoff,
    rule: CompiledRule | None,
    closure: str,
    *,
    happened: int,
    why: str,
    by_encounter: int = 0,
    by_death: bool = False,
) -> None:
    """Close *handoff*: add the final state of its task and gap, and notify everybody who received an alert about it.

    If the alert proved unnecessary (met in time, cancelled, not applicable), it is withdrawn. Otherwise a notification
    reports that the handoff is closed.

    *happened*: event time of the closing event, in milliseconds. *why*: what happened, in whole sentences. The result for the task is
    appended to it.
    """
    why += _closing_words(closure, reported_late=draft.at > handoff.due)
    handoff.end = End(closure, draft.at, happened, by_encounter, by_death)
    handoff.next_at = handoff.snoozed = handoff.owned_at = 0
    handoff.status = COMPLETED if closure in {"met", "met-late"} else CANCELLED
    draft.show(handoff, rule, why)
    if not handoff.alerts:
        return
    if closure in {"met-late", "superseded"}:
        title, neutral_title = titles_of(handoff, rule)
        encounter_ref = ref_of(draft.person.encounter_numbered(handoff.encounter))
        for recipient in dict.fromkeys(recipient for _, recipient in handoff.alerts):
            draft.issued(
                id_=derive(draft.seed, handoff.rule, uuid_text(handoff.id), "closed", recipient),
                rule=handoff.rule,
                version=handoff.version,
                recipient=Address.parse(recipient),
                title=f"Closed: {title}",
                neutral_title=f"Closed: {neutral_title}",
                why=why,
                urgency="routine",
                encounter_ref=encounter_ref,
                handoff=uuid_text(handoff.id),
            )
    else:
        for notification, recipient in handoff.alerts:
            draft.withdrawn(uuid_text(notification), Address.parse(recipient), handoff.rule, handoff.version, why)
    if closure != "met-late":
        handoff.alerts = ()


def reopen(draft: EffectsDraft, handoff: Handoff, world: World, why: str) -> None:
    """Open *handoff* again, because the event that closed it no longer counts. *why*: what happened, in whole sentences."""
    why = f"{why} The task is open again."
    person = draft.person
    rule = rule_of(handoff, person, world)
    handoff.end = None
    handoff.status = first_status(rule.rule, handoff.due, draft.at) if rule is not None else REQUESTED
    if handoff.due <= draft.at and handoff.gap == DUE_SOON:
        handoff.gap = 0  # The step at the due time fires now and opens the gap.
    if rule is not None:
        skip_warnings(handoff, rule, draft.at)
    schedule_next_step(handoff, rule, draft.at, calendar_of(handoff, person, world), world.directory)
    draft.show(handoff, rule, why)
    if handoff.gap == OPEN and rule is not None and handoff.next_step >= len(rule.steps):
        # No step is left that would notify the owner.
        encounter = person.encounter_numbered(handoff.encounter)
        context = Context.of(person, world, draft.at, home_of(handoff, person, world), None, encounter, handoff)
        alert(draft, context, rule, headline="Overdue", why=why, urgency=overdue_urgency(rule), again=True)
