"""Notifications: finds the recipients of a notification from its roles, checks consent, and notifies each party once.

Owns who gets a notification and which notifications are suppressed. Must not know which event a notification is about, or any clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from agents.coordination.handoffs.effects_draft import EffectsDraft, ref_of, titles_of
from agents.coordination.handoffs.owners import accountable
from agents.coordination.person.care_team import may_notify, parties_of
from agents.coordination.person.state import Alert
from agents.coordination.reference.ids import derive, uuid_bytes, uuid_text
from agents.coordination.rules.catalogue import CompiledRule
from agents.coordination.rules.quiet_hours import AT_ONCE, DIGEST, Delivery, deliver_after, recently_notified_at
from agents.coordination.rules.rule import Tell
from agents.coordination.rules.wording import by_rule, reason_words
from agents.coordination.rules.world import Context
from streams.contract.address import Address
from streams.contract.effects import GoalWords, NotificationIssued
from streams.contract.events import Millis

_OWNER: Final = (Tell("owner", required=True),)
"""Only the accountable owner."""

_NAMED_BY_SUBJECT = frozenset({"referral-target", "referral-requester", "goal-owner"})
_NAMED_BY_ENCOUNTER = frozenset({"facility", "transferring-facility"})


class Recipient(NamedTuple):
    """One party that a notification goes to."""

    address: Address
    asks_acknowledgement: bool
    delivery: Delivery | None
    """How this role is notified, if that differs from the row of the routing table."""


def recipients(tells: Iterable[Tell], context: Context) -> list[Recipient]:
    """Return each party once, in the order of the roles.

    If nobody is known for a required role, the recipient is the organisation's holder of the role, or else the fallback pool.
    """
    directory, organisation = context.world.directory, context.organisation
    found: dict[str, Recipient] = {}
    for row in tells:
        if row.role == "owner" and context.handoff is not None:
            owner = Address.parse(context.handoff.owner)
            role, parties = owner.role, [owner.party]
        elif row.role in _NAMED_BY_SUBJECT:
            if row.role == "goal-owner" and context.goal is None:
                continue
            if row.role != "goal-owner" and context.referral is None:
                continue
            owner = accountable(row.role, context)
            role, parties = owner.role, [owner.party]
        elif row.role in _NAMED_BY_ENCOUNTER:
            owner = accountable(row.role, context)
            role, parties = owner.role, [owner.party]
        else:
            role = row.role
            parties = parties_of(context.person, role, context.at, directory, organisation)
            if not parties and row.required:
                holder = directory.holder(role, organisation)
                parties = [directory.cover_for(holder, context.at) if holder else directory.fallback_pool]
        for party in parties:
            known = found.get(party)
            if known is None:
                found[party] = Recipient(Address.of(role, party), row.asks_acknowledgement, row.delivery)
            elif row.asks_acknowledgement and not known.asks_acknowledgement:
                found[party] = known._replace(asks_acknowledgement=True)
    return list(found.values())


def notify(
    draft: EffectsDraft,
    context: Context,
    tells: Iterable[Tell],
    *,
    rule: str,
    version: int,
    title: str,
    neutral_title: str,
    why: str,
    urgency: str,
    purpose: str,
    sensitivity: str,
    handoff: str | None = None,
    already: Iterable[str] = (),
    goals: tuple[GoalWords, ...] = (),
    delivery: Delivery | None = None,
) -> list[NotificationIssued]:
    """Issue one notification to each party that may have it, and an `EffectSuppressed` for each that may not.

    *why* says what happened, in whole sentences. *already*: parties (`kind:id`) that had this notification before and get
    no second one. *delivery*: None (for alerts about a deadline) means immediately, at any hour.
    """
    quiet, directory = context.world.catalogue.quiet, context.world.directory
    issued: list[NotificationIssued] = []
    had = frozenset(already)
    encounter_ref = ref_of(context.encounter)
    for address, asks, own in recipients(tells, context):
        recipient, party = str(address), address.party
        if party in had:
            continue
        if context.person.consents or sensitivity != "normal":
            belongs = directory.of_party(party)
            verdict = may_notify(context.person, address, purpose, sensitivity, belongs.id if belongs else "")
            if verdict != "permitted":
                why_not = by_rule(rule, version, f"{why} Not notified: {reason_words(verdict)}.")
                draft.suppressed(verdict, why_not, rule, version=version, recipient=recipient, mark=handoff or "")
                continue
        waits: Millis | None = None
        by = None if delivery is None else own or delivery
        if by is not None:
            notified_at = recently_notified_at(
                quiet, context.person, context.encounter.number if context.encounter else 0, recipient, context.at
            )
            if notified_at is not None and urgency == "routine" and not asks:
                minutes = quiet.bundle_minutes
                again = f"Not notified again: a notification about the same encounter was sent less than {minutes} minutes earlier."
                why_not = by_rule(rule, version, f"{why} {again}")
                draft.suppressed("bundled", why_not, rule, version=version, recipient=recipient)
                continue
            home = directory.of_party(party) or context.organisation
            waits = deliver_after(quiet, by, urgency, draft.at, home.zone)
        id_ = derive(draft.seed, rule, recipient) if handoff is None else derive(draft.seed, rule, handoff, recipient)
        issued.append(
            draft.issued(
                id_=id_,
                rule=rule,
                version=version,
                recipient=address,
                title=title,
                neutral_title=neutral_title,
                why=why,
                urgency=urgency,
                encounter_ref=encounter_ref,
                handoff=handoff,
                asks_acknowledgement=asks,
                goals=goals,
                channel=DIGEST if waits is not None and by == DIGEST else AT_ONCE,
                deliver_after=waits,
            )
        )
    return issued


def alert(
    draft: EffectsDraft,
    context: Context,
    rule: CompiledRule | None,
    *,
    headline: str,
    why: str,
    urgency: str,
    tells: Iterable[Tell] = _OWNER,
    again: bool = False,
) -> None:
    """Notify about the context's handoff, and record the recipients, because they are also notified when it closes.

    *again*: also notify the recipients of an earlier alert.
    """
    handoff = context.handoff
    if handoff is None:
        return
    definition = rule.rule if rule is not None else None
    title, neutral_title = titles_of(handoff, rule)
    issued = notify(
        draft,
        context,
        tells,
        rule=handoff.rule,
        version=handoff.version,
        title=f"{headline}: {title}",
        neutral_title=f"{headline}: {neutral_title}",
        why=why,
        urgency=urgency,
        purpose=definition.purpose if definition is not None else "treatment",
        sensitivity=definition.sensitivity if definition is not None else "normal",
        handoff=uuid_text(handoff.id),
        already=() if again else {Address.parse(recipient).party for _, recipient in handoff.alerts},
    )
    handoff.alerts = (*handoff.alerts, *(Alert(uuid_bytes(notification.id), notification.recipient) for notification in issued))


def overdue_urgency(rule: CompiledRule) -> str:
    """Return the urgency of an alert that a handoff of *rule* is overdue; it is never routine."""
    return rule.rule.urgency if rule.rule.urgency != "routine" else "urgent"
