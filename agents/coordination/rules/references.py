"""Finds what is probably a mistake: a name that the directory does not define, and a step that is after the due time.

Owns the notes that `carerelay rules check` prints. They are notes and not errors, because some roles come only from care teams,
a rule may name an organisation that is added later, and consents may use categories of their own. Must not decide anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from agents.coordination.reference.directory import EVERY, Directory
from agents.coordination.rules.catalogue import Catalogue
from agents.coordination.rules.rule import COMMON_LADDER, Notice, Rule, after_due
from agents.coordination.rules.validation import CONSENT_CODES
from streams.contract.suggestions import did_you_mean

NAMED_BY_THE_SUBJECT: Final = {
    "owner": "the owner of the handoff at that moment",
    "next": "the next role in the directory's line of escalation; only for the owner of a step",
    "recipient": "the recipient of the notification",
    "referral-target": "the organisation that the referral goes to",
    "referral-requester": "the requester of the referral",
    "goal-owner": "the owner of the goal",
    "setter": "the side that set the status of the referral",
    "facility": "the hospital or other facility itself",
    "transferring-facility": "the hospital that the person came from",
    "patient": "the person",
    "mdt": "the whole care team",
}
"""Roles that no directory lists, because the subject of a handoff or the care team determines who holds them."""


def notes(catalogue: Catalogue, directory: Directory, files: Mapping[str, str] = {}) -> list[str]:
    """Return one line for each name that *directory* does not know and each step that is never reached, with what to do.

    *files*: the file of each rule and overlay (`loading.files_of`), to begin the line with.
    """
    known = {
        "role": {*directory.roles, *NAMED_BY_THE_SUBJECT},
        "organisation": set(directory.organisations),
        "locality": {locality for o in directory.organisations.values() for locality in o.localities},
        "profile": {o.profile for o in directory.organisations.values()} - {EVERY},
    }
    said: dict[str, None] = {}
    for where, field, kind, name in (*_in_catalogue(catalogue), *_in_directory(directory)):
        if name not in known[kind]:
            listed = {
                "role": " (`carerelay rules codes role` lists them all)",
                "profile": f"; it knows {', '.join(sorted(known['profile']))}",
            }.get(kind, "")
            hint = did_you_mean(name, known[kind])
            said[f"{_line(where, files)}: {field}: the directory does not know the {kind} {name!r}{listed}{hint}"] = None
    for where, row in _consented(catalogue):
        for field, usual in CONSENT_CODES.items():
            value: str = getattr(row, field)
            if value not in usual:
                listed = f"is not a usual {field} (`carerelay rules codes {field}` lists them all)"
                hint = f"; a consent counts only if it names the same word{did_you_mean(value, usual)}"
                said[f"{_line(where, files)}: {field}: {value!r} {listed}{hint}"] = None
    for where, rule in _rules(catalogue):
        for index in after_due(rule):
            at = rule.steps[index].at
            said[f"{_line(where, files)}: steps[{index}].at: {at!r} is after the due time; write an earlier moment, or due + ..."] = None
    return list(said)


def _line(where: str, files: Mapping[str, str]) -> str:
    file = files.get(where.partition(":")[0])
    return f"{file}: {where}" if file else where


def _rules(catalogue: Catalogue) -> Iterator[tuple[str, Rule]]:
    """Yield every rule, and every rule as an overlay changes it, with the place that says so."""
    yield from ((f"rule {rule.id}", rule) for rule in catalogue.rules.values())
    for overlay in catalogue.overlays:
        for id_ in overlay.rules:
            yield from ((f"overlay {overlay.id}: rule {id_}", rule) for other, rule in catalogue.changes_of(id_) if other is overlay)


def _consented(catalogue: Catalogue) -> Iterator[tuple[str, Rule | Notice]]:
    """Yield everything that a consent is looked up for: rules and notifications."""
    yield from _rules(catalogue)
    for rows in catalogue.notices.values():
        yield from ((f"routing {row.notice.id}", row.notice) for row in rows)


def _in_catalogue(catalogue: Catalogue) -> Iterator[tuple[str, str, str, str]]:
    for rule in catalogue.rules.values():
        yield from ((f"rule {rule.id}", "profiles", "profile", profile) for profile in rule.profiles)
    for where, rule in _rules(catalogue):
        yield from ((where, field, "role", role) for field, role in _roles(rule))
    for overlay in catalogue.overlays:
        where = f"overlay {overlay.id}"
        yield from ((where, "profiles", "profile", name) for name in overlay.profiles)
        yield from ((where, "localities", "locality", name) for name in overlay.localities)
        yield from ((where, "organisations", "organisation", name) for name in overlay.organisations)
    for rows in catalogue.notices.values():
        for row in rows:
            yield from ((f"routing {row.notice.id}", f"tells[{i}].role", "role", tell.role) for i, tell in enumerate(row.notice.tells))


def _roles(rule: Rule) -> Iterable[tuple[str, str]]:
    yield "accountable", rule.accountable
    for i, step in enumerate(rule.steps or COMMON_LADDER):
        if step.owner is not None:
            yield f"steps[{i}].owner", step.owner
        yield from ((f"steps[{i}].tells[{n}].role", tell.role) for n, tell in enumerate(step.tells))


def _in_directory(directory: Directory) -> Iterator[tuple[str, str, str, str]]:
    for id_, organisation in directory.organisations.items():
        for role, holder in organisation.roles.items():
            if holder.organization:
                yield "directory", f"organisations.{id_}.roles.{role}.organization", "organisation", holder.organization
    yield from (("directory", where, "role", role) for where, role in directory.escalations())
