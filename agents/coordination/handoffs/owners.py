"""Who is accountable: finds exactly one owner for a role, or for a party that the subject names.

Owns the choice of the owner and of the next owner in the line of escalation. Must not know a clock. If nobody is known, the
owner is the fallback pool, which people must watch.
"""

from __future__ import annotations

from agents.coordination.person.care_team import parties_of
from agents.coordination.reference.directory import Organisation
from agents.coordination.rules.world import Context
from streams.contract.address import Address

_LINE_MAX = 16
"""Longer than any line of escalation; the directory refuses circular ones."""


def accountable(role: str, context: Context) -> Address:
    """Return the owner for the role in a rule's `accountable`."""
    match role:
        case "recipient":
            return Address.parse(context.issued.recipient) if context.issued is not None else role_owner("care-coordinator", context)
        case "referral-target" | "referral-requester":
            return _referral_side(role, context)
        case "facility":
            return _facility(context)
        case "transferring-facility":
            return _transferring(context)
        case "goal-owner":
            goal = context.goal
            if goal is None or not goal.owner:
                return role_owner("care-coordinator", context)
            owner = Address.parse(goal.owner)
            return Address.of(owner.role, context.world.directory.cover_for(owner.party, context.at))
        case "setter":
            side = context.referral.setter if context.referral is not None else ""
            return _referral_side("referral-requester" if side == "requester" else "referral-target", context)
        case _:
            return role_owner(role, context)


def role_owner(role: str, context: Context) -> Address:
    """Return who holds *role*: a member of the care team, else the organisation's holder, else the fallback pool."""
    if role in {"referral-target", "referral-requester", "goal-owner", "recipient", "setter"} and (
        context.referral is not None or context.goal is not None
    ):
        return accountable(role, context) if role != "recipient" else _role_holder(role, context)
    return _role_holder(role, context)


def _role_holder(role: str, context: Context) -> Address:
    directory = context.world.directory
    parties = parties_of(context.person, role, context.at, directory, context.organisation)
    if parties:
        return Address.of(role, parties[0])
    holder = directory.holder(role, context.organisation)
    return Address.of(role, directory.fallback_pool if holder is None else directory.cover_for(holder, context.at))


def home_of(owner: Address, context: Context) -> Organisation | None:
    """Return the organisation of *owner*: from the directory, else from the member of the care team."""
    directory = context.world.directory
    known = directory.of_party(owner.party)
    if known is not None:
        return known
    for member in context.person.members:
        if member.party == owner.party and member.role == owner.role and member.organisation:
            return directory.organisations.get(member.organisation)
    return None


def step_owner(role: str, owner: Address, context: Context) -> Address:
    """Return who holds the *role* that a step names: in the owner's organisation first, then in the organisation of the handoff."""
    if role in {"referral-target", "referral-requester", "goal-owner", "setter", "facility", "transferring-facility"}:
        return accountable(role, context)
    directory = context.world.directory
    home = home_of(owner, context) or context.organisation
    found = _line_holder(role, home, context)
    return Address.of(role, found or directory.fallback_pool)


def next_owner(owner: Address, context: Context) -> Address:
    """Return who is accountable after *owner* in the line of escalation; *owner* itself at the end of the line.

    The line of the owner's organisation applies, or that of the context's organisation if the owner has none. A role that nobody
    holds is skipped.
    """
    directory = context.world.directory
    role = owner.role
    home = home_of(owner, context) or context.organisation
    first: str | None = None
    for _ in range(_LINE_MAX):
        following = directory.next_role(role, home)
        if following is None:
            break
        first = first or following
        found = _line_holder(following, home, context)
        if found is not None and found != owner.party:
            return Address.of(following, found)
        role = following
    return owner if first is None else Address.of(first, directory.fallback_pool)


def _facility(context: Context) -> Address:
    """Return the organisation that runs the facility, or the facility itself if the directory does not list it."""
    directory, encounter = context.world.directory, context.encounter
    if encounter is not None and not directory.knows_facility(encounter.facility):
        return Address("facility", "organization", encounter.facility)
    return Address("facility", "organization", context.organisation.id)


def _transferring(context: Context) -> Address:
    """Return the coordinators of the hospital that the person came from; the person's care coordinator if that hospital is not known."""
    directory, here, handoff = context.world.directory, context.encounter, context.handoff
    before = [
        encounter
        for encounter in context.person.encounters
        if handoff is not None and here is not None and encounter.facility != here.facility and 0 < encounter.admitted <= handoff.opened_at
    ]
    if not before:
        return role_owner("care-coordinator", context)
    facility = max(before, key=lambda encounter: encounter.admitted).facility
    home = directory.of_facility(facility)
    holder = directory.holder("care-coordinator", home)
    if holder is None:
        return Address("transferring-facility", "organization", facility)
    return Address.of("transferring-facility", directory.cover_for(holder, context.at))


def _line_holder(role: str, home: Organisation, context: Context) -> str | None:
    directory = context.world.directory
    parties = parties_of(context.person, role, context.at, directory, context.organisation)
    if parties:
        return parties[0]
    for organisation in (home, context.organisation):
        holder = directory.holder(role, organisation)
        if holder is not None:
            return directory.cover_for(holder, context.at)
    return None


def _referral_side(role: str, context: Context) -> Address:
    directory = context.world.directory
    referral = context.referral
    if referral is None:
        return _role_holder(role, context)
    if role == "referral-target":
        party, organisation = referral.target, referral.target_organisation
    else:
        party, organisation = referral.requester, referral.requester_organisation
    known = directory.organisations.get(organisation)
    if party and not party.startswith("organization:"):
        return Address.of(role, directory.cover_for(party, context.at))
    holder = directory.holder("referral-target" if role == "referral-target" else "referral-source", known) if known is not None else None
    if holder is not None:
        return Address.of(role, directory.cover_for(holder, context.at))
    return Address.of(role, party or directory.fallback_pool)
