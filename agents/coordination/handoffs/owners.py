"""Who is accountable: from a role, or from what the subject names, to exactly one owner.

Owns the choice of one owner and of the next in the line. Must not know a clock, and never answers with nobody: where no
one is known it is the fallback pool, which people watch.
"""

from __future__ import annotations

from agents.coordination.person.care_team import parties_of
from agents.coordination.reference.directory import Organisation
from agents.coordination.rules.facts import Scene

_LINE_MAX = 16
"""Longer than any line of escalation; the directory refuses circles."""


def accountable(role: str, scene: Scene) -> str:
    """Return the owner (role/kind:id) for a rule's `accountable`."""
    match role:
        case "recipient":
            return scene.notice.recipient if scene.notice is not None else role_owner("care-coordinator", scene)
        case "referral-target" | "referral-requester":
            return _referral_side(role, scene)
        case "facility":
            return _facility(scene)
        case "transferring-facility":
            return _transferring(scene)
        case "goal-owner":
            goal = scene.goal
            if goal is None or not goal.owner:
                return role_owner("care-coordinator", scene)
            owns, _, party = goal.owner.partition("/")
            return f"{owns}/{scene.world.directory.covered(party, scene.at)}"
        case "setter":
            side = scene.referral.setter if scene.referral is not None else ""
            return _referral_side("referral-requester" if side == "requester" else "referral-target", scene)
        case _:
            return role_owner(role, scene)


def role_owner(role: str, scene: Scene) -> str:
    """Return who holds *role*: the care team's seat, else the organisation's holder, else the fallback pool."""
    if role in {"referral-target", "referral-requester", "goal-owner", "recipient", "setter"} and (
        scene.referral is not None or scene.goal is not None
    ):
        return accountable(role, scene) if role != "recipient" else _held(role, scene)
    return _held(role, scene)


def _held(role: str, scene: Scene) -> str:
    directory = scene.world.directory
    parties = parties_of(scene.person, role, scene.at, directory, scene.organisation)
    if parties:
        return f"{role}/{parties[0]}"
    holder = directory.holder(role, scene.organisation)
    if holder is not None:
        return f"{role}/{directory.covered(holder, scene.at)}"
    return f"{role}/{directory.fallback_pool}"


def home_of(owner: str, scene: Scene) -> Organisation | None:
    """Return the organisation of *owner* (role/kind:id): by the directory, else as the care team's seat says it."""
    directory = scene.world.directory
    role, _, party = owner.partition("/")
    known = directory.of_party(party)
    if known is not None:
        return known
    for seat in scene.person.seats:
        if seat.address == party and seat.role == role and seat.organisation:
            return directory.organisations.get(seat.organisation)
    return None


def rung_owner(role: str, owner: str, scene: Scene) -> str:
    """Return who holds *role* where a rung names it: in the owner's own organisation first, then where the handoff began."""
    if role in {"referral-target", "referral-requester", "goal-owner", "setter", "facility", "transferring-facility"}:
        return accountable(role, scene)
    directory = scene.world.directory
    home = home_of(owner, scene) or scene.organisation
    found = _line_holder(role, home, scene)
    return f"{role}/{found or directory.fallback_pool}"


def next_owner(owner: str, scene: Scene) -> str:
    """Return who is accountable after *owner* in the line of escalation; *owner* itself at its end.

    The line is the owner's own organisation's, else the scene's; a role that nobody holds there is passed over.
    """
    directory = scene.world.directory
    role, _, party = owner.partition("/")
    home = home_of(owner, scene) or scene.organisation
    first: str | None = None
    for _ in range(_LINE_MAX):
        following = directory.next_role(role, home)
        if following is None:
            break
        first = first or following
        found = _line_holder(following, home, scene)
        if found is not None and found != party:
            return f"{following}/{found}"
        role = following
    return owner if first is None else f"{first}/{directory.fallback_pool}"


def _facility(scene: Scene) -> str:
    """Return the organisation that runs the facility; the facility itself, by its own id, where the directory does not name it."""
    directory, stay = scene.world.directory, scene.stay
    if stay is not None and not directory.knows_facility(stay.facility):
        return f"facility/organization:{stay.facility}"
    return f"facility/organization:{scene.organisation.id}"


def _transferring(scene: Scene) -> str:
    """Return the coordinators of the hospital that the person came from; whoever coordinates their care where none is known."""
    directory, here, handoff = scene.world.directory, scene.stay, scene.handoff
    before = [
        stay
        for stay in scene.person.stays
        if handoff is not None and here is not None and stay.facility != here.facility and 0 < stay.admitted <= handoff.opened_at
    ]
    if not before:
        return role_owner("care-coordinator", scene)
    facility = max(before, key=lambda stay: stay.admitted).facility
    home = directory.of_facility(facility)
    holder = directory.holder("care-coordinator", home)
    return f"transferring-facility/{directory.covered(holder, scene.at) if holder else f'organization:{facility}'}"


def _line_holder(role: str, home: Organisation, scene: Scene) -> str | None:
    directory = scene.world.directory
    parties = parties_of(scene.person, role, scene.at, directory, scene.organisation)
    if parties:
        return parties[0]
    for organisation in (home, scene.organisation):
        holder = directory.holder(role, organisation)
        if holder is not None:
            return directory.covered(holder, scene.at)
    return None


def _referral_side(role: str, scene: Scene) -> str:
    directory = scene.world.directory
    referral = scene.referral
    if referral is None:
        return _held(role, scene)
    if role == "referral-target":
        party, organisation = referral.target, referral.target_organisation
    else:
        party, organisation = referral.requester, referral.requester_organisation
    known = directory.organisations.get(organisation)
    if party and not party.startswith("organization:"):
        return f"{role}/{directory.covered(party, scene.at)}"
    holder = directory.holder("referral-target" if role == "referral-target" else "referral-source", known) if known is not None else None
    if holder is not None:
        return f"{role}/{directory.covered(holder, scene.at)}"
    return f"{role}/{party or directory.fallback_pool}"
