"""The closed referral loop: one table of legal moves, who may make them, and what closes the loop.

Owns the SDOH-CC referral Task machine with BSeR's business statuses beside it, the test for a closed loop, and the test
for a doubled referral. Must not know handoff rules, messages or the present. `docs/referral-states.md` is drawn from here.

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


class StatusSays(msgspec.Struct, frozen=True):
    """What a status means, who may set it, which may follow, and with which Task statuses a business status goes."""

    code: str
    means: str
    by: tuple[ReferralMover, ...]
    then: tuple[str, ...]
    asks_reason: bool = False
    """A reason in words is expected (statusReason.text); where it is missing the move is legal all the same."""
    beside: tuple[str, ...] = ()


TASK_TABLE: Final = (
    StatusSays("draft", "being written", _REQUESTER, ("requested",)),
    StatusSays("requested", "sent, nobody has answered", _REQUESTER, ("accepted", "rejected", "cancelled")),
    StatusSays("accepted", "the target takes it on", _TARGET, ("in-progress", "on-hold", "cancelled", "completed", "failed")),
    StatusSays("rejected", "the target declines", _TARGET, (), asks_reason=True),
    StatusSays("in-progress", "the service is being given", _TARGET, ("completed", "failed", "cancelled", "on-hold")),
    StatusSays("on-hold", "waits for something", _TARGET, ("in-progress", "cancelled", "completed", "failed"), asks_reason=True),
    StatusSays("cancelled", "cancelled", _EITHER, (), asks_reason=True),
    StatusSays("completed", "the service was given", _TARGET, ()),
    StatusSays("failed", "the service could not be given", _TARGET, (), asks_reason=True),
    StatusSays("entered-in-error", "never should have been; may follow every status", _REQUESTER, ()),
)
"""Task.status of a referral. `entered-in-error` may follow any other and is therefore in no `then`."""

_RUNNING: Final = ("accepted", "in-progress", "on-hold")
_AFTER_EVENT: Final = ("5.1.1", "5.2", "6.0", "7.0")

BUSINESS_TABLE: Final = (
    StatusSays("2.0", "created", _REQUESTER, ("3.0", "4.0", "5.2", "6.0"), beside=("draft", "requested")),
    StatusSays("3.0", "accepted", _TARGET, ("5.1.1", "5.2", "6.0", "7.0"), beside=_RUNNING),
    StatusSays("4.0", "declined", _TARGET, (), beside=("rejected",)),
    StatusSays("5.1.1", "event scheduled", _TARGET, ("5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.2", "6.0", "7.0"), beside=_RUNNING),
    StatusSays("5.1.2", "event unattended", _TARGET, _AFTER_EVENT, beside=(*_RUNNING, "failed")),
    StatusSays("5.1.3", "event cancelled", _TARGET, _AFTER_EVENT, beside=(*_RUNNING, "failed", "cancelled")),
    StatusSays("5.1.4", "event completed", _TARGET, _AFTER_EVENT, beside=(*_RUNNING, "completed")),
    StatusSays("5.2", "cancellation requested", _REQUESTER, ("6.0", "7.0"), beside=("requested", *_RUNNING)),
    StatusSays("6.0", "fulfilment cancelled", _EITHER, (), beside=("cancelled", "failed")),
    StatusSays("7.0", "fulfilment completed", _TARGET, (), beside=("completed",)),
)
"""BSeR businessStatus: what tells "accepted but never scheduled" from "scheduled, and nobody came"."""

TASK: Final[Mapping[str, StatusSays]] = {row.code: row for row in TASK_TABLE}
BUSINESS: Final[Mapping[str, StatusSays]] = {row.code: row for row in BUSINESS_TABLE}

ENDED: Final = frozenset(row.code for row in TASK_TABLE if not row.then)
"""Task statuses after which nothing follows but `entered-in-error`."""

GIVEN_UP: Final = ENDED - {"completed"}
"""Task statuses with which a referral ends and its need stays."""

DUPLICATE_WINDOW_DAYS: Final = 30
"""CareRelay default: a second referral to the same service while the first is open and this young is the same need."""

_FIRST: Final = ("draft", "requested")
REPORT: Final = "consultant-report"


class Moved(msgspec.Struct, frozen=True):
    """A legal move: the referral stands so now. `repeats` says that it stood so before."""

    status: str
    business_status: str
    repeats: bool = False
    asks_reason: bool = False


class Illegal(msgspec.Struct, frozen=True):
    """A move that is refused and changes nothing, and why, in words."""

    reason: str


class KnownReferral(Protocol):
    """What is remembered of a referral, as far as doubles need it. `requested` is its event time in milliseconds."""

    id: str
    status: str
    service: str
    requested: int
    linked: str


def move(current: str | None, status: str, by: str, business_status: str | None = None, business_before: str = "") -> Moved | Illegal:
    """Decide whether *by* may move a referral from *current* (None: not heard of before) to *status*.

    Args:
        current: Task.status as it stands.
        status: Task.status that is asked for; the same again is legal for whoever may say it, so that a business status moves alone.
        by: `requester` or `target`.
        business_status: BSeR's code that comes with it, if one does.
        business_before: BSeR's code as it stands, empty if none was said.
    """
    return _move(current, status, by, business_status or "", business_before)


def why_not_closed(report: CareActivityRecorded, referral: str, requested: Millis) -> str | None:
    """Return why *report* does not close the loop of *referral*, or None if it does (CMS50 v2026).

    A consultant report closes it that is based on the referral, completed, and ends later than the request.
    """
    if report.code != REPORT:
        return f"a {report.code or 'nameless activity'} is no consultant report"
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
    """Return the id of the referral that a new one of the same person to *service* doubles, or None.

    Only one that is still open and at most *window_days* away counts, also one that was made later and heard of before: it is
    watched already. What was declined, failed or done is asked for anew with good reason, and so is what *replaces* an
    earlier one. A double of a double is linked to the first.
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
    """Return `docs/referral-states.md`: both tables and the diagram, from the data above."""
    lines = [
        "# The states of a referral",
        "",
        "Made from `agents/coordination/person/referral_states.py` by `make rules`; a test compares.",
        "A change that is not in a table, or that the wrong side makes, is refused with its reason.",
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
        "BSeR, harmonised with IHE 360X. It accompanies the Task.status and may change alone. Steps may be skipped (accepted and",
        "scheduled at once), but a status never goes back.",
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
        "the first. It opens no handoffs of its own. The answers of its target count for the first. If the first referral ends without the",
        "service while the duplicate is open, the duplicate takes its place and is followed up from then on.",
        "",
    ]
    return "\n".join(lines)


@lru_cache(maxsize=4_096)
def _move(current: str | None, status: str, by: str, business: str, business_before: str) -> Moved | Illegal:
    says = TASK.get(status)
    if says is None:
        return Illegal(f"{status} is no status of a referral")
    if by not in _EITHER:
        return Illegal(f"{by or 'nobody'} is neither the requester nor the target")
    repeats = status == current
    # A business status may come from the other side while the status stands: the requester asks to cancel what is in progress.
    if not (repeats and business) and by not in says.by:
        return Illegal(f"only the {' or the '.join(says.by)} sets a referral to {status}, not the {by}")
    if not repeats and status != "entered-in-error":
        if current is None:
            if status not in _FIRST:
                return Illegal(f"a referral that nobody requested can't become {status}")
        elif status not in TASK[current].then:
            return Illegal(f"a referral that is {current} can't become {status}")
    if business and (refused := _refuses_business(status, by, business, business_before)):
        return Illegal(refused)
    return Moved(status, business or business_before, repeats and business in {"", business_before}, says.asks_reason)


def _refuses_business(status: str, by: str, business: str, before: str) -> str | None:
    says = BUSINESS.get(business)
    if says is None:
        return f"{business} is no business status of a referral"
    if status not in says.beside:
        return f"business status {business} ({says.means}) does not go with {status}"
    if business == before:
        return None
    if by not in says.by:
        return f"only the {' or the '.join(says.by)} says business status {business} ({says.means}), not the {by}"
    earlier = BUSINESS.get(before)
    if earlier is not None and business not in _reached(before):
        return f"business status {before} ({earlier.means}) can't become {business} ({says.means})"
    return None


@lru_cache(maxsize=64)
def _reached(before: str) -> frozenset[str]:
    """Return the business statuses that may come after *before*, steps left out: not everybody reports every step."""
    reached: set[str] = set()
    following = set(BUSINESS[before].then)
    while following:
        reached |= following
        following = {then for code in following for then in BUSINESS[code].then} - reached
    return frozenset(reached)


def _node(code: str) -> str:
    return code.replace("-", "_")
