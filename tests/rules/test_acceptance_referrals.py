"""Acceptance: referrals between organisations and people that are not in a directory, up to the report."""

from __future__ import annotations

from typing import Any

import pytest
from replayed import EffectLines, Story, local, utc

SURGERY = {"role": "pcp", "practitioner": {"id": "501", "name": "Dr. Far"}, "organization": "far-surgery"}
CLINIC = {"role": "specialist", "organization": "far-clinic"}
OTHER_CLINIC = {"role": "specialist", "organization": "other-clinic"}


def story() -> Story:
    return Story(facility="FARWAY", person="P-1")


def referred(history: Story, when: str = "2026-07-06T09:00", referral: str = "R1", **said: Any) -> Story:
    recorded = said.pop("recorded", None)
    data = {"requester": SURGERY, "target": CLINIC, "service": "cardiology", "priority": "routine", **said}
    return history.add("ReferralRequested", when, recorded=recorded, referral=referral, **data)


def moved(history: Story, when: str, status: str, referral: str = "R1", by: str = "target", **said: Any) -> Story:
    return history.add("ReferralStatusChanged", when, referral=referral, status=status, by=by, **{"reason": "as said", **said})


def booked(history: Story, when: str, status: str = "booked", name: str = "A1", start: str = "2026-07-16T10:00", **said: Any) -> Story:
    return history.add(
        "AppointmentChanged", when, **{"appointment": name, "status": status, "start": local(start), "referral": "R1", **said}
    )


def reported(history: Story, when: str = "2026-07-14T10:00", **said: Any) -> Story:
    return history.cared(when, "consultant-report", **{"based_on": ["R1"], **said})


def ends(effects: EffectLines, rule: str) -> dict[str, str | None]:
    """The closure of each handoff of *rule*, by its referral."""
    return {line["referral"]: line["closure"] for line in effects.of(rule, "task")}


# ---- the report (CMS50)


def test_one_report_on_two_referrals_closes_the_loops_of_both_and_no_other():
    history = referred(referred(referred(story()), referral="R2", service="neurology"), referral="R3", service="dermatology")
    closed = reported(history, based_on=["R2", "R1"]).replay()
    assert ends(closed, "REF-4") == {"R1": "met", "R2": "met", "R3": None}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"end": None}, "does not say when it ended"),
        ({"status": "in-progress"}, "in-progress, not completed"),
        ({"start": local("2026-07-01T09:00"), "end": local("2026-07-06T08:59")}, "ended before the referral was made"),
        ({"start": local("2026-07-01T09:00"), "end": local("2026-07-06T09:00")}, "ended before the referral was made"),
    ],
)
def test_report_that_does_not_close_the_loop_says_why(said: dict[str, Any], why: str):
    effects = reported(referred(story()), **said).replay()
    assert ends(effects, "REF-4") == {"R1": None}
    assert [(line["reason"], why in line["why"]) for line in effects.of(None, "suppressed")] == [("loop-not-closed", True)]


def test_report_that_ended_a_minute_after_the_request_closes_the_loop():
    effects = reported(referred(story()), start=local("2026-07-01T09:00"), end=local("2026-07-06T09:01")).replay()
    assert ends(effects, "REF-4") == {"R1": "met"}
    assert effects.of(None, "suppressed") == []


# ---- appointments around it


def test_appointment_booked_before_the_acceptance_needs_no_second_clock():
    effects = moved(booked(referred(story()), "2026-07-07T08:00"), "2026-07-07T09:00", "accepted").replay()
    assert effects.of("REF-2") == []


@pytest.mark.parametrize(("by", "code"), [("target", "3.0"), ("requester", "5.2"), ("target", "5.1.3")])
def test_change_of_the_business_status_alone_starts_no_second_clock(by: str, code: str):
    history = booked(moved(referred(story()), "2026-07-07T09:00", "accepted"), "2026-07-07T10:00")
    effects = moved(history, "2026-07-08T09:00", "accepted", by=by, business_status=code).replay()
    assert [line["closure"] for line in effects.of("REF-2", "task")] == [None, "met"]


@pytest.mark.parametrize(("status", "by"), [("completed", "target"), ("cancelled", "requester"), ("failed", "target")])
def test_appointment_cancelled_after_its_referral_has_ended_is_not_booked_again(status: str, by: str):
    history = booked(moved(referred(story()), "2026-07-07T09:00", "accepted"), "2026-07-07T10:00")
    effects = booked(moved(history, "2026-07-08T09:00", status, by=by), "2026-07-08T10:00", "cancelled").replay("2026-08-01T00:00")
    assert effects.of("REF-3") == []


def test_appointment_cancelled_after_another_was_booked_needs_no_third_booking():
    history = booked(moved(referred(story()), "2026-07-07T09:00", "accepted"), "2026-07-07T10:00")
    history = booked(history, "2026-07-08T09:00", name="A2", start="2026-07-20T10:00")
    assert booked(history, "2026-07-08T09:05", "cancelled").replay("2026-08-01T00:00").of("REF-3") == []


def test_visit_that_was_missed_is_booked_again_although_one_before_it_took_place():
    history = booked(moved(referred(story()), "2026-07-07T09:00", "accepted"), "2026-07-07T10:00", start="2026-07-08T10:00")
    history = booked(history, "2026-07-08T11:00", "fulfilled", start="2026-07-08T10:00")
    history = booked(history, "2026-07-08T12:00", name="A2", start="2026-07-15T10:00")
    effects = booked(history, "2026-07-15T11:00", "noshow", name="A2", start="2026-07-15T10:00").replay()
    assert ends(effects, "REF-3") == {"R1": None}


# ---- what the requester changes


def test_report_is_due_when_it_is_needed_now():
    history = referred(story(), needed_by=local("2026-07-24T17:00"))
    history.add("ReferralChanged", "2026-07-08T09:00", referral="R1", needed_by=local("2026-07-10T17:00"))
    effects = history.replay("2026-07-10T17:00")
    assert [line["due"] for line in effects.of("REF-4", "task")] == [utc("2026-07-24T17:00"), utc("2026-07-10T17:00")]
    assert [(line["state"], line["at"]) for line in effects.of("REF-4", "gap")] == [
        ("due-soon", utc("2026-07-08T13:00")),
        ("open", utc("2026-07-10T17:00")),
    ]


def test_date_that_moves_after_the_report_was_overdue_does_not_undo_that():
    history = referred(story(), needed_by=local("2026-07-10T17:00"))
    history.add("ReferralChanged", "2026-07-13T09:00", referral="R1", needed_by=local("2026-07-24T17:00"))
    assert history.replay().last("REF-4", "gap")["due"] == utc("2026-07-10T17:00")


def test_referral_that_becomes_urgent_is_begun_within_a_business_day():
    history = moved(referred(story()), "2026-07-07T09:00", "accepted")
    history.add("ReferralChanged", "2026-07-07T10:00", referral="R1", priority="urgent")
    assert history.replay().last("REF-2")["due"] == utc("2026-07-09T00:00")


def test_another_target_is_notified_and_owns_the_open_handoffs_with_their_deadlines():
    history = referred(story())
    history.add("ReferralChanged", "2026-07-07T10:00", referral="R1", target=OTHER_CLINIC)
    effects = history.replay("2026-07-10T12:00")
    news = [(line["rule"], line["recipient"]) for line in effects.of("NTF-REFERRAL-TARGET", "notification")]
    assert ("NTF-REFERRAL-TARGET", "referral-target/organization:other-clinic") in news
    owners = {line["at"]: line["owner"] for line in effects.of("REF-1", "task", "gap")}
    assert list(owners.values()) == ["referral-target/organization:far-clinic"] + 3 * ["referral-target/organization:other-clinic"]
    assert {line["due"] for line in effects.of("REF-1", "task", "gap")} == {utc("2026-07-09T00:00")}


def test_request_that_arrives_after_its_answer_has_an_owner_and_a_deadline():
    history = moved(story(), "2026-07-07T09:00", "accepted")
    effects = referred(history, "2026-07-06T09:00", recorded="2026-07-07T10:00", priority="urgent").replay("2026-07-12T00:00")
    in_order = moved(referred(story(), priority="urgent"), "2026-07-07T09:00", "accepted").replay("2026-07-12T00:00")
    kept = ("rule", "owner", "due", "state", "closure", "referral")

    def open_handoffs(lines: EffectLines) -> list[tuple[Any, ...]]:
        return sorted(tuple(line[name] for name in kept) for line in lines.open_handoffs().values())

    assert open_handoffs(effects) == open_handoffs(in_order) != []
    assert effects.of("REF-2", "task")[0]["owner"] == "referral-target/pool:unassigned"


# ---- duplicates


def test_duplicate_that_arrives_first_is_the_one_with_handoffs():
    effects = referred(referred(story(), "2026-07-07T09:00", "R2"), "2026-07-06T09:00", recorded="2026-07-07T10:00").replay()
    assert ends(effects, "REF-1") == {"R2": None}
    assert [line["reason"] for line in effects.of(None, "suppressed")] == ["duplicate-referral"]


@pytest.mark.parametrize("rule", ["REF-1", "REF-4"])
def test_answers_to_a_duplicate_count_for_the_first(rule: str):
    history = referred(referred(story()), "2026-07-07T09:00", "R2")
    history = moved(history, "2026-07-07T12:00", "accepted", "R2") if rule == "REF-1" else reported(history, based_on=["R2"])
    assert ends(history.replay(), rule) == {"R1": "met"}


@pytest.mark.parametrize(("status", "by"), [("cancelled", "requester"), ("rejected", "target"), ("entered-in-error", "requester")])
def test_cancelled_duplicate_leaves_the_first_referral_unchanged(status: str, by: str):
    effects = moved(referred(referred(story()), "2026-07-07T09:00", "R2"), "2026-07-07T12:00", status, "R2", by).replay()
    assert (ends(effects, "REF-1"), ends(effects, "REF-4")) == ({"R1": None}, {"R1": None})


@pytest.mark.parametrize(
    ("status", "by", "first"),
    [("cancelled", "requester", "cancelled"), ("rejected", "target", "superseded"), ("entered-in-error", "requester", "cancelled")],
)
def test_duplicate_replaces_a_first_referral_that_is_given_up(status: str, by: str, first: str):
    history = referred(referred(story()), "2026-07-07T09:00", "R2", target=OTHER_CLINIC)
    effects = moved(history, "2026-07-08T12:00", status, by=by).replay("2026-07-08T13:00")
    assert ends(effects, "REF-4") == {"R1": first, "R2": None}
    answer = effects.last("REF-1")
    assert (answer["referral"], answer["closure"], answer["due"]) == ("R2", None, utc("2026-07-11T00:00"))
    assert "its duplicate, referral R2, replaces it" in answer["why"]
    assert effects.of("NTF-REFERRAL", "notification")[-1]["recipient"] == "referral-target/organization:other-clinic"
    assert all(line["closure"] == "met" for line in effects.of("REF-6", "task")[1:])


def test_accepted_duplicate_continues_with_the_next_handoff():
    history = moved(referred(referred(story()), "2026-07-07T09:00", "R2"), "2026-07-07T12:00", "accepted", "R2")
    effects = moved(history, "2026-07-08T12:00", "cancelled", by="requester").replay("2026-07-08T13:00")
    open_ones = {(line["rule"], line["referral"]) for line in effects.open_handoffs().values()}
    assert open_ones == {("REF-2", "R2"), ("REF-4", "R2")}


# ---- out of order


def in_both_orders(events: list[tuple[str, str, str, dict[str, Any]]], until: str = "2026-07-07T18:00") -> list[list[tuple[Any, ...]]]:
    """The handoffs that are open after (kind, happened, arrived, data): in the order of events, and in the order of arrival."""
    found = []
    for late in (False, True):
        history = story()
        for kind, happened, arrived, data in sorted(events, key=lambda event: event[2 if late else 1]):
            history.add(kind, happened, recorded=arrived if late else None, id_=happened, **data)
        lines = history.replay(until).open_handoffs().values()
        found.append(sorted((line["rule"], line["referral"], line["owner"], line["due"]) for line in lines))
    return found


ASKED = {"referral": "R1", "requester": SURGERY, "target": CLINIC, "service": "cardiology", "priority": "routine"}
YES = {"referral": "R1", "status": "accepted", "by": "target"}


def visit(name: str, status: str, start: str = "2026-07-16T10:00") -> dict[str, Any]:
    return {"appointment": name, "status": status, "start": local(start), "referral": "R1"}


@pytest.mark.parametrize(
    "events",
    [
        pytest.param(
            [
                ("ReferralRequested", "2026-07-06T09:00", "2026-07-06T11:00", ASKED),
                ("AppointmentChanged", "2026-07-06T09:30", "2026-07-06T09:30", visit("A1", "booked")),
                ("AppointmentChanged", "2026-07-06T10:00", "2026-07-06T10:00", visit("A1", "cancelled")),
            ],
            id="an appointment that is called off before its referral is heard of",
        ),
        pytest.param(
            [
                ("ReferralRequested", "2026-07-06T09:00", "2026-07-06T12:00", ASKED),
                ("AppointmentChanged", "2026-07-06T10:00", "2026-07-06T10:00", visit("A1", "cancelled")),
                ("AppointmentChanged", "2026-07-06T11:00", "2026-07-06T11:00", visit("A2", "booked")),
            ],
            id="one that is booked again before its referral is heard of",
        ),
        pytest.param(
            [
                ("ReferralRequested", "2026-07-06T09:00", "2026-07-06T09:00", ASKED),
                ("AppointmentChanged", "2026-07-06T09:30", "2026-07-06T11:00", visit("A2", "booked")),
                ("AppointmentChanged", "2026-07-06T10:00", "2026-07-06T10:00", visit("A1", "cancelled")),
            ],
            id="a booking that is heard of after the one that it replaces was called off",
        ),
        pytest.param(
            [
                ("ReferralRequested", "2026-07-06T09:00", "2026-07-06T09:00", ASKED),
                ("AppointmentChanged", "2026-07-06T09:30", "2026-07-06T11:00", visit("A1", "booked")),
                ("ReferralStatusChanged", "2026-07-06T10:00", "2026-07-06T10:00", YES),
            ],
            id="a booking that is heard of after the yes",
        ),
        pytest.param(
            [
                ("ReferralRequested", "2026-07-06T09:00", "2026-07-06T09:00", ASKED),
                ("ReferralStatusChanged", "2026-07-06T09:30", "2026-07-06T09:30", YES),
                ("ReferralStatusChanged", "2026-07-06T10:00", "2026-07-06T12:00", {**YES, "status": "completed"}),
                ("AppointmentChanged", "2026-07-06T11:00", "2026-07-06T11:00", visit("A1", "noshow")),
            ],
            id="an end that is heard of after a missed appointment",
        ),
        pytest.param(
            [
                ("ReferralRequested", "2026-07-06T09:00", "2026-07-06T09:00", ASKED),
                ("ReferralChanged", "2026-07-06T10:00", "2026-07-06T12:00", {"referral": "R1", "target": OTHER_CLINIC}),
                ("ReferralChanged", "2026-07-06T11:00", "2026-07-06T11:00", {"referral": "R1", "needed_by": local("2026-08-03T12:00")}),
            ],
            id="an older change of something else",
        ),
        pytest.param(
            [
                ("ReferralRequested", "2026-07-06T09:00", "2026-07-06T09:00", ASKED),
                ("ReferralStatusChanged", "2026-07-06T09:30", "2026-07-06T09:30", YES),
                ("ReferralStatusChanged", "2026-07-06T10:00", "2026-07-06T12:00", {**YES, "status": "on-hold"}),
                ("ReferralStatusChanged", "2026-07-06T11:00", "2026-07-06T11:00", {**YES, "status": "cancelled"}),
            ],
            id="a hold that is heard of after the end",
        ),
        pytest.param(
            [
                ("ReferralRequested", "2026-07-06T09:00", "2026-07-06T09:00", ASKED),
                ("AppointmentChanged", "2026-07-06T09:30", "2026-07-06T09:30", visit("A1", "cancelled")),
                ("AppointmentChanged", "2026-07-06T10:00", "2026-07-06T12:00", visit("A2", "booked")),
                ("AppointmentChanged", "2026-07-06T11:00", "2026-07-06T11:00", visit("A2", "noshow")),
            ],
            id="a booking that is heard of after it was missed",
        ),
    ],
)
def test_open_handoffs_are_the_same_in_any_order_of_arrival(events: list[tuple[str, str, str, dict[str, Any]]]):
    in_order, as_it_came = in_both_orders(events)
    assert [row[:3] for row in in_order] == [row[:3] for row in as_it_came]


@pytest.mark.parametrize(("first", "then"), [("cancelled", "entered-in-error"), ("noshow", "cancelled")])
def test_appointment_that_did_not_take_place_is_handled_once(first: str, then: str):
    history = booked(booked(referred(story()), "2026-07-07T10:00"), "2026-07-08T10:00", first)
    effects = booked(history, "2026-07-08T10:30", then).replay("2026-07-08T12:00")
    assert len({line["cause"] for line in effects.of("NTF-APPOINTMENT", "notification")}) == 1
    assert [line["reason"] for line in effects.of(None, "suppressed")] == ["no-material-change"]
    assert len(effects.of("REF-3", "task")) == 1
