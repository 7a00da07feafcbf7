"""The closed referral loop: a table of legal status changes, who may make them, and what closes the loop.

Owns the SDOH-CC state machine of a referral Task, BSeR's business statuses, the test for a closed loop, and the test for a
duplicate referral. Must not know handoff rules, messages or the current time. `docs/referral-states.md` is generated from it.

Sources: Gravity SDOH Clinical Care, SDOHCCTaskForReferralManagement and its state diagram (`received` and `ready` are not
used there); BSeR TaskBusinessStatusCS, harmonised with IHE 360X; CMS50 v2026, closing the referral loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal, Protocol

import msgspec

from streams.contract.events import CareActivityRecorded, Millis
from streams.contract.topics import DAY_MS

ReferralMover = Literal["requester", "target"]

_REQUESTER: Final[tuple[ReferralMover, ...]] = ("requester",)
_TARGET: Final[tuple[ReferralMover, ...]] = ("target",)
_EITHER: Final[tuple[ReferralMover, ...]] = ("requester", "target")


class StatusRow(msgspec.Struct, frozen=True):
    """One status: its meaning, who may set it, and which statuses may follow.

    `beside` lists, for a business status, the Task statuses that it may accompany.
    """

    code: str
    means: str
    by: tuple[ReferralMover, ...]
    then: tuple[str, ...]
    asks_reason: bool = False
    """A reason is expected as text (statusReason.text), but the change is also legal without a reason."""
    beside: tuple[str, ...] = ()


TASK_TABLE: Final = (
    StatusRow("draft", "being written", _REQUESTER, ("requested",)),
    StatusRow("requested", "sent, not answered yet", _REQUESTER, ("accepted", "rejected", "cancelled")),
    StatusRow("accepted", "the target accepts it", _TARGET, ("in-progress", "on-hold", "cancelled", "completed", "failed")),
    StatusRow("rejected", "the target declines", _TARGET, (), asks_reason=True),
    StatusRow("in-progress", "the target provides the service", _TARGET, ("completed", "failed", "cancelled", "on-hold")),
    StatusRow("on-hold", "the target has paused it", _TARGET, ("in-progress", "cancelled", "completed", "failed"), asks_reason=True),
    StatusRow("cancelled", "cancelled", _EITHER, (), asks_reason=True),
    StatusRow("completed", "the service was provided", _TARGET, ()),
    StatusRow("failed", "the service could not be provided", _TARGET, (), asks_reason=True),
    StatusRow("entered-in-error", "created by mistake; may follow every status", _REQUESTER, ()),
)
"""Task.status of a referral. `entered-in-error` may follow every other status, so no `then` lists it."""

_RUNNING: Final = ("accepted", "in-progress", "on-hold")
_AFTER_EVENT: Final = ("5.1.1", "5.2", "6.0", "7.0")

BUSINESS_TABLE: Final = (
    StatusRow("2.0", "created", _REQUESTER, ("3.0", "4.0", "5.2", "6.0"), beside=("draft", "requested")),
    StatusRow("3.0", "accepted", _TARGET, ("5.1.1", "5.2", "6.0", "7.0"), beside=_RUNNING),
    StatusRow("4.0", "declined", _TARGET, (), beside=("rejected",)),
    StatusRow("5.1.1", "event scheduled", _TARGET, ("5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.2", "6.0", "7.0"), beside=_RUNNING),
    StatusRow("5.1.2", "event unattended", _TARGET, _AFTER_EVENT, beside=(*_RUNNING, "failed")),
    StatusRow("5.1.3", "event cancelled", _TARGET, _AFTER_EVENT, beside=(*_RUNNING, "failed", "cancelled")),
    StatusRow("5.1.4", "event completed", _TARGET, _AFTER_EVENT, beside=(*_RUNNING, "completed")),
    StatusRow("5.2", "cancellation requested", _REQUESTER, ("6.0", "7.0"), beside=("requested", *_RUNNING)),
    StatusRow("6.0", "fulfilment cancelled", _EITHER, (), beside=("cancelled", "failed")),
    StatusRow("7.0", "fulfilment completed", _TARGET, (), beside=("completed",)),
)
"""BSeR businessStatus. It distinguishes "accepted but never scheduled" from "scheduled, but the person did not come"."""

TASK: Final[Mapping[str, StatusRow]] = {row.code: row for row in TASK_TABLE}
BUSINESS: Final[Mapping[str, StatusRow]] = {row.code: row for row in BUSINESS_TABLE}

ENDED: Final = frozenset(row.code for row in TASK_TABLE if not row.then)
"""Task statuses that only `entered-in-error` may follow."""

GIVEN_UP: Final = ENDED - {"completed"}
"""Task statuses in which a referral has ended without the service being provided."""

DUPLICATE_WINDOW_DAYS: Final = 30
"""CareRelay default: a second referral to the same service within this time, while the first is open, counts as the same request."""

_FIRST: Final = ("draft", "requested")
REPORT: Final = "consultant-report"


class Moved(msgspec.Struct, frozen=True):
    """A legal change, and the statuses after it. `repeats`: the referral already has these statuses."""

    status: str
    business_status: str
    repeats: bool = False
    asks_reason: bool = False


class Illegal(msgspec.Struct, frozen=True):
    """A refused change, and why it is refused."""

    reason: str


class KnownReferral(Protocol):
    """The fields of a known referral that `duplicate_of` needs. `requested` is the event time of its request, in milliseconds."""

    id: str
    status: str
    service: str
    requested: int
    linked: str


def move(current: str | None, status: str, by: str, business_status: str | None = None, business_before: str = "") -> Moved | Illegal:
    """Decide whether *by* may change a referral from *current* (None: unknown referral) to *status*.

    Args:
        current: The current Task.status.
        status: The new Task.status. It may equal the current one, so that the business status can change alone.
        by: `requester` or `target`.
        business_status: The new BSeR code, if the event has one.
        business_before: The current BSeR code; empty if there is none.
    """
    return _move(current, status, by, business_status or "", business_before)


def why_not_closed(report: CareActivityRecorded, referral: str, requested: Millis) -> str | None:
    """Return why *report* does not close the loop of *referral*, or None if it does (CMS50 v2026).

    A consultant report closes the loop if it is based on the referral, is completed, and ends after the request.
    """
    if report.code != REPORT:
        return f"the activity {report.code or 'without a code'} is not a consultant report"
    if referral not in report.based_on:
        return "the report is not based on this referral"
    if report.status != "completed":
        return f"the report is {report.status}, not completed"
    if report.end is None:
        return "the report does not say when it ended"
    if report.end <= requested:
        return "the report ended before the referral was made"
    return None


def duplicate_of(
    service: str,
    requested: Millis,
    known: Iterable[KnownReferral],
    *,
    replaces: str | None = None,
    window_days: int = DUPLICATE_WINDOW_DAYS,
) -> str | None:
    """Return the id of the referral that a new referral of the same person to *service* duplicates, or None.

    That referral must be open, and requested at most *window_days* before or after *requested*. It may have the later request time
    if it arrived first, because it is already followed up. Ended referrals do not count, because a service may be requested again
    for good reason. The referral that the new one *replaces* does not count either. A duplicate of a duplicate is linked to the
    original.
    """
    span = window_days * DAY_MS
    earlier = [
        referral
        for referral in known
        if referral.service == service
        and referral.status
        and referral.status not in ENDED
        and referral.id != replaces
        and abs(requested - referral.requested) <= span
    ]
    if not service or not earlier:
        return None
    first = min(earlier, key=lambda referral: (referral.requested, referral.id))
    return first.linked or first.id


def render_markdown() -> str:
    """Return `docs/referral-states.md`: both tables and the diagram."""
    lines = [
        "# The states of a referral",
        "",
        "Generated from `agents/coordination/person/referral_states.py` by `make rules`; a test compares them.",
        "A change that is not in a table, or that comes from the wrong side, is refused with a reason.",
        "",
        "## Task.status",
        "",
        "Gravity SDOH Clinical Care. Any status may also become `entered-in-error`.",
        "",
        "| status | means | set by | then | reason expected |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {r.code} | {r.means} | {' or '.join(r.by)} | {', '.join(r.then) or 'nothing'} | {'yes' if r.asks_reason else ''} |"
            for r in TASK_TABLE
        ),
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f"    [*] --> {_node(code)}" for code in _FIRST),
        *(f"    {_node(row.code)} --> {_node(then)}: {' or '.join(TASK[then].by)}" for row in TASK_TABLE for then in row.then),
        "```",
        "",
        "## businessStatus",
        "",
        "BSeR, harmonised with IHE 360X. It accompanies the Task.status and may change alone. Steps may be skipped, because not every",
        "sender reports each step, but a status never goes back.",
        "",
        "| code | means | set by | then | beside Task.status |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {r.code} | {r.means} | {' or '.join(r.by)} | {', '.join(r.then) or 'nothing'} | {', '.join(r.beside)} |"
            for r in BUSINESS_TABLE
        ),
        "",
        "## When the loop is closed",
        "",
        "Only a consultant report closes the loop: it is based on the referral, completed, and ends after the request (CMS50 v2026). A",
        "completed Task alone does not close it.",
        "",
        "## Duplicate referrals",
        "",
        f"A second referral of a person to the same service, within {DUPLICATE_WINDOW_DAYS} days and while the first is open, is linked to",
        "the first. It opens no handoffs of its own. The answers of its target count for the first. If the first referral ends and the",
        "service was not provided, an open duplicate replaces it and is followed up from then on.",
        "",
    ]
    return "\n".join(lines)


@lru_cache(maxsize=4_096)
def _move(current: str | None, status: str, by: str, business: str, business_before: str) -> Moved | Illegal:
    row = TASK.get(status)
    if row is None:
        return Illegal(f"{status} is not a status of a referral")
    if by not in _EITHER:
        return Illegal(f"by must be requester or target, not {by!r}")
    repeats = status == current
    # Either side may send a business status without a new status. For example, the requester may ask to cancel a referral.
    if not (repeats and business) and by not in row.by:
        return Illegal(f"only the {' or the '.join(row.by)} may set a referral to {status}, not the {by}")
    if not repeats and status != "entered-in-error":
        if current is None:
            if status not in _FIRST:
                return Illegal(f"a referral without a request can't become {status}")
        elif status not in TASK[current].then:
            return Illegal(f"a referral that is {current} can't become {status}")
    if business and (refused := _why_business_refused(status, by, business, business_before)):
        return Illegal(refused)
    return Moved(status, business or business_before, repeats and business in {"", business_before}, row.asks_reason)


def _why_business_refused(status: str, by: str, business: str, before: str) -> str | None:
    row = BUSINESS.get(business)
    if row is None:
        return f"{business} is not a business status of a referral"
    if status not in row.beside:
        return f"business status {business} ({row.means}) does not go with {status}"
    if business == before:
        return None
    if by not in row.by:
        return f"only the {' or the '.join(row.by)} may set business status {business} ({row.means}), not the {by}"
    earlier = BUSINESS.get(before)
    if earlier is not None and business not in _reachable(before):
        return f"business status {before} ({earlier.means}) can't become {business} ({row.means})"
    return None


@lru_cache(maxsize=64)
def _reachable(before: str) -> frozenset[str]:
    """Return the business statuses that may come after *before*. Steps may be skipped: not every sender reports each step."""
    reached: set[str] = set()
    following = set(BUSINESS[before].then)
    while following:
        reached |= following
        following = {then for code in following for then in BUSINESS[code].then} - reached
    return frozenset(reached)


def _node(code: str) -> str:
    return code.replace("-", "_")
