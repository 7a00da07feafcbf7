"""The moves of a referral, against a table that was written from the guide's diagram, not from the code."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import each

from agents.coordination.person.referral_states import (
    BUSINESS_TABLE,
    ENDED,
    TASK_TABLE,
    Illegal,
    Moved,
    duplicate_of,
    move,
    render_markdown,
    why_not_closed,
)
from streams.contract.events import CareActivityRecorded, Millis, Party

DAY = 86_400_000

# from: {to: by whom}
DRAWN = {
    "draft": {"requested": "R"},
    "requested": {"accepted": "T", "rejected": "T", "cancelled": "RT"},
    "accepted": {"in-progress": "T", "on-hold": "T", "cancelled": "RT", "completed": "T", "failed": "T"},
    "in-progress": {"completed": "T", "failed": "T", "cancelled": "RT", "on-hold": "T"},
    "on-hold": {"in-progress": "T", "cancelled": "RT", "completed": "T", "failed": "T"},
    "rejected": {},
    "cancelled": {},
    "completed": {},
    "failed": {},
    "entered-in-error": {},
}


@each("by", ["requester", "target"])
@each(("current", "status"), list(itertools.permutations(DRAWN, 2)))
def test_referral_moves_only_as_the_diagram_shows_and_by_whom_it_shows(current, status, by):
    drawn = DRAWN[current].get(status, "R" if status == "entered-in-error" else "")

    moved = move(current, status, by)

    assert isinstance(moved, Moved if by[0].upper() in drawn else Illegal)


@pytest.mark.parametrize("status", ["received", "ready", "done", "", "Accepted"])
def test_status_that_the_guide_leaves_out_is_refused(status):
    assert move("requested", status, "target") == Illegal(f"{status} is not a status of a referral")


def test_referral_begins_as_draft_or_requested():
    assert isinstance(move(None, "draft", "requester"), Moved)
    assert isinstance(move(None, "requested", "requester"), Moved)
    assert move(None, "accepted", "target") == Illegal("a referral without a request can't become accepted")


def test_illegal_move_says_why():
    assert move("rejected", "accepted", "target") == Illegal("a referral that is rejected can't become accepted")
    assert move("requested", "accepted", "requester") == Illegal("only the target may set a referral to accepted, not the requester")
    assert move("requested", "accepted", "somebody") == Illegal("by must be requester or target, not 'somebody'")
    assert move("requested", "accepted", "") == Illegal("by must be requester or target, not ''")


def test_same_status_again_is_harmless():
    assert move("accepted", "accepted", "target") == Moved("accepted", "", repeats=True)
    assert move("completed", "completed", "target", "7.0", "7.0") == Moved("completed", "7.0", repeats=True)


@pytest.mark.parametrize(
    ("status", "asks"),
    [("rejected", True), ("cancelled", True), ("failed", True), ("on-hold", True), ("accepted", False), ("completed", False)],
)
def test_move_away_from_fulfilment_requires_a_reason(status, asks):
    current = "requested" if status in {"accepted", "rejected"} else "accepted"

    moved = move(current, status, "target")

    assert isinstance(moved, Moved)
    assert moved.asks_reason is asks


def test_appointment_is_scheduled_missed_and_scheduled_again_while_the_task_is_open():
    steps = [
        ("accepted", "3.0"),
        ("accepted", "5.1.1"),
        ("accepted", "5.1.2"),
        ("accepted", "5.1.1"),
        ("in-progress", "5.1.4"),
        ("completed", "7.0"),
    ]
    current, business = "requested", "2.0"
    for status, code in steps:
        moved = move(current, status, "target", code, business)
        assert isinstance(moved, Moved), moved
        assert not moved.repeats
        current, business = moved.status, moved.business_status

    assert (current, business) == ("completed", "7.0")


@pytest.mark.parametrize(
    ("status", "by", "code", "before", "reason"),
    [
        ("accepted", "target", "9.9", "", "not a business status"),
        ("accepted", "target", "4.0", "", "does not go with accepted"),
        ("accepted", "target", "7.0", "5.1.4", "does not go with accepted"),
        ("accepted", "target", "3.0", "5.1.1", "can't become"),
        ("accepted", "requester", "5.1.1", "3.0", "only the target"),
        ("accepted", "target", "5.2", "3.0", "only the requester"),
    ],
)
def test_illegal_business_status_is_refused_with_the_reason(status, by, code, before, reason):
    moved = move("accepted", status, by, code, before)

    assert isinstance(moved, Illegal)
    assert reason in moved.reason


@pytest.mark.parametrize(("before", "code"), [("2.0", "5.1.1"), ("3.0", "5.1.2"), ("", "5.1.4"), ("5.1.2", "5.1.3")])
def test_steps_may_be_left_out(before, code):
    assert move("accepted", "accepted", "target", code, before) == Moved("accepted", code)


def test_requester_requests_a_cancellation_and_the_target_confirms_it():
    assert move("in-progress", "in-progress", "requester", "5.2", "5.1.1") == Moved("in-progress", "5.2")
    assert isinstance(move("in-progress", "in-progress", "requester"), Illegal)
    assert move("in-progress", "cancelled", "target", "6.0", "5.2") == Moved("cancelled", "6.0", asks_reason=True)


def test_business_status_stays_if_a_move_has_none():
    assert move("accepted", "in-progress", "target", None, "5.1.1") == Moved("in-progress", "5.1.1")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([*DRAWN, "ready", ""]),
            st.sampled_from(["requester", "target", "x"]),
            st.sampled_from([None, "3.0", "5.1.1", "7.0", "x"]),
        ),
        max_size=20,
    )
)
def test_final_status_stays_final(moves):
    current, business = None, ""
    for status, by, code in moves:
        moved = move(current, status, by, code, business)
        if isinstance(moved, Moved):
            assert current not in ENDED or status in {current, "entered-in-error"}
            current, business = moved.status, moved.business_status


REQUESTED = Millis(1_000 * DAY)


def report(**changed) -> CareActivityRecorded:
    said = {
        "activity": "A1",
        "code": "consultant-report",
        "status": "completed",
        "start": Millis(REQUESTED + DAY),
        "end": Millis(REQUESTED + DAY),
        "performer": Party("consultant"),
        "based_on": ("R0", "R1"),
    }
    return CareActivityRecorded(**(said | changed))


def test_completed_report_on_the_referral_after_it_closes_the_loop():
    assert why_not_closed(report(), "R1", REQUESTED) is None
    assert why_not_closed(report(start=Millis(REQUESTED - DAY), end=Millis(REQUESTED + 1)), "R1", REQUESTED) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"code": "interactive-contact"}, "not a consultant report"),
        ({"based_on": ()}, "not based on"),
        ({"based_on": ("R2",)}, "not based on"),
        ({"status": "in-progress"}, "in-progress, not completed"),
        ({"status": "entered-in-error"}, "not completed"),
        ({"end": None}, "does not say when"),
        ({"end": REQUESTED}, "before the referral"),
        ({"end": Millis(REQUESTED - DAY)}, "before the referral"),
    ],
)
def test_report_that_lacks_one_thing_does_not_close_the_loop(changed, reason):
    assert reason in (why_not_closed(report(**changed), "R1", REQUESTED) or "")


class Remembered(msgspec.Struct):
    id: str
    status: str
    service: str
    requested: int
    linked: str


def known(identifier: str, days_before: float, *, status: str = "requested", service: str = "food", linked: str = "") -> Remembered:
    return Remembered(identifier, status=status, service=service, requested=int(REQUESTED - days_before * DAY), linked=linked)


@pytest.mark.parametrize(
    ("earlier", "doubled"),
    [
        ([], None),
        ([known("R1", 1)], "R1"),
        ([known("R1", 30)], "R1"),
        ([known("R1", 30.01)], None),
        ([known("R1", -1)], "R1"),
        ([known("R1", -30.01)], None),
        ([known("R1", 1, service="housing")], None),
        ([known("R1", 1, status="in-progress")], "R1"),
        ([known("R1", 1, status="rejected")], None),
        ([known("R1", 1, status="completed")], None),
        ([known("R1", 1, status="")], None),
        ([known("R2", 1), known("R1", 2)], "R1"),
        ([known("R2", 1, linked="R1")], "R1"),
    ],
)
def test_second_referral_to_a_service_is_linked_to_the_open_first(earlier, doubled):
    assert duplicate_of("food", REQUESTED, earlier) == doubled


def test_referral_that_replaces_another_is_not_a_duplicate():
    assert duplicate_of("food", REQUESTED, [known("R1", 1)], replaces="R1") is None


def test_referral_without_a_service_is_not_a_duplicate():
    assert duplicate_of("", REQUESTED, [known("R1", 1, service="")]) is None


def test_every_status_of_the_tables_can_be_reached():
    for table, first in ((TASK_TABLE, {"draft", "requested"}), (BUSINESS_TABLE, {"2.0"})):
        reached = set(first)
        while new := {then for row in table if row.code in reached for then in row.then} - reached:
            reached |= new
        assert reached | {"entered-in-error"} == {row.code for row in table} | {"entered-in-error"}


def test_page_is_generated_from_the_table():
    document = Path(__file__).parents[2] / "docs" / "referral-states.md"

    assert document.read_text(encoding="utf-8") == render_markdown(), "the page is outdated: run make rules"
