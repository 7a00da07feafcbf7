"""Referrals and appointments from HL7."""

import pytest
from hl7_building import SECRET, event, evn, facts, header, message, millis, notes, pid, pv1, read, sample, segment

from streams.contract import events as e
from streams.contract.person_key import person_key
from streams.intake.reading import Ignored

RF1 = {"f1": "P^Pending", "f2": "U", "f3": "CAR^Cardiology", "f6": "REF-1^EPIC", "f11": "EXT-1"}
REQUESTER = segment("PRD", f1="RP^Referring Provider^HL70286", f2="POWELL^ROBERT^^^DR", f7="P100^NPI", f10="Main Street Practice^L")
TARGET = segment("PRD", f1="RT", f2="STONE^SUE", f7="P200^NPI", f4="^^^HEART CLINIC")


def referral(trigger, *more, kind="REF", **rf1):
    return message(header(f"{kind}^{trigger}"), segment("RF1", **(RF1 | rf1)), REQUESTER, TARGET, pid(), *more)


def test_request_names_requester_target_service_and_priority():
    found = event(referral("I12", segment("TQ1", f8="20260715"), pv1(f19="V1")))

    assert found.data == e.ReferralRequested(
        referral="REF-1",
        requester=e.Party("referring", e.Practitioner("P100", "DR ROBERT POWELL"), "Main Street Practice"),
        target=e.Party("referred-to", e.Practitioner("P200", "SUE STONE"), "HEART CLINIC"),
        service="CAR",
        priority="urgent",
        needed_by=millis("2026-07-16T00:00:00-04:00"),
        encounter=e.EncounterRef("GENERAL", "V1"),
    )
    assert found.time == found.arrival == millis("2026-07-02T15:00:04-04:00")


@pytest.mark.parametrize(
    ("code", "priority"), [("S", "stat"), ("A^ASAP", "asap"), ("R", "routine"), ("u", "urgent"), ("", "routine"), ("Z", "routine")]
)
def test_priority(code, priority):
    assert event(referral("I12", f2=code)).data.priority == priority
    assert ("priority-unknown" in notes(referral("I12", f2=code))) == (code == "Z")


def test_change_says_what_changed_and_the_answer_of_the_target():
    changed, answered = facts(referral("I13", f1="A"))

    assert changed == e.ReferralChanged(
        "REF-1", e.Party("referred-to", e.Practitioner("P200", "SUE STONE"), "HEART CLINIC"), "CAR", "urgent"
    )
    assert answered == e.ReferralStatusChanged("REF-1", "accepted", "target")
    assert facts(referral("I13", f1="R"))[1].status == "rejected"
    assert len(facts(referral("I13"))) == 1


def test_change_without_an_effect_is_ignored_with_the_reason():
    (item,) = read(message(header("REF^I13"), pid(), segment("RF1", f6="REF-1"))).items
    assert (type(item), item.reason) == (Ignored, "nothing-changed")


def test_only_the_requester_can_cancel():
    assert facts(referral("I14", f1="A")) == [e.ReferralStatusChanged("REF-1", "cancelled", "requester")]


def test_response_of_the_target_is_its_answer_or_an_acknowledgement():
    assert facts(referral("I12", kind="RRI", f1="A")) == [e.ReferralStatusChanged("REF-1", "accepted", "target")]
    assert read(referral("I12", kind="RRI")).items[0].reason == "acknowledgement"
    assert read(referral("I14", kind="RRI", f1="A")).items[0].reason == "acknowledgement"


def test_question_about_a_referral_is_ignored():
    assert read(referral("I15")).items[0].reason == "status-query"
    assert read(referral("I20")).items[0].reason == "trigger-not-mapped"


def test_referral_id_may_be_the_external_one_and_without_both_it_is_refused():
    (item,) = read(referral("I12", f6="", f11="")).items

    assert (item.reason, item.field) == ("field-missing", "RF1-6")
    assert event(referral("I12", f6="")).data.referral == "EXT-1"
    assert read(message(header("REF^I12"), pid())).items[0].segment == "RF1"


def test_referral_without_a_named_target_goes_to_the_role():
    found = event(message(header("REF^I12"), segment("RF1", f6="REF-1"), pid()))

    assert found.data.target == e.Party("referred-to")
    assert found.data.requester == e.Party("referring")
    assert found.data.service == "unspecified"
    assert found.data.encounter is None


def test_sample_referral_and_its_cancellation():
    asked, cancelled = event(sample("REF-I12-01")), event(sample("REF-I14-01"))

    assert asked.person == cancelled.person == person_key(SECRET, "ADT1", "PATID1234")
    assert asked.data.referral == "226839"
    assert asked.data.requester.practitioner == e.Practitioner("PLN1001", "DR ROBERT POWELL")
    assert asked.data.target == e.Party("referred-to", e.Practitioner("PLN5010", "DR PAUL McWILLIAMS"), "RADIANT HEALTH HOSPITAL")
    assert (asked.data.service, asked.data.priority) == ("Med", "routine")
    assert asked.data.encounter == e.EncounterRef("GHHSFacility", "5001")
    assert asked.time == millis("2022-01-25T16:20:00+00:00")
    assert cancelled.data == e.ReferralStatusChanged("226839", "cancelled", "requester")
    assert asked.id != cancelled.id  # One control id, two messages.


# ---- appointments


def appointment(trigger, *more, person=None, **sch):
    return message(
        header(f"SIU^{trigger}"), segment("SCH", **({"f1": "PL-1^EPIC", "f2": "FI-1^SCHED", "f26": "REF-1"} | sch)), *more, person or pid()
    )


@pytest.mark.parametrize(
    ("trigger", "said", "status"),
    [
        ("S12", "Booked", "booked"), ("S13", "Booked", "booked"), ("S14", "", "booked"), ("S15", "Cancelled", "cancelled"), ("S16", "Dc", "cancelled"),
        ("S17", "Deleted", "entered-in-error"), ("S26", "Noshow", "noshow"), ("S26", "Booked", "noshow"), ("S15", "Booked", "cancelled"),
        ("S12", "Pending", "pending"), ("S12", "Complete", "booked"), ("S14", "Complete^Completed", "fulfilled"), ("S14", "STARTED", "arrived"),
    ],
)  # fmt: skip
def test_status_is_the_triggers_and_sch_25_only_refines_it(trigger, said, status):
    assert event(appointment(trigger, f25=said)).data.status == status


def test_start_is_tq1_7_else_sch_11_4_else_the_resources():
    timing = segment("TQ1", f7="202607101000", f8="202607101030")
    service = segment("AIS", f3="X", f4="202607121000")

    assert event(appointment("S12", timing, service, f11="^^^202607111000^202607111030")).data.start == millis("2026-07-10T10:00:00-04:00")
    assert event(appointment("S12", timing)).data.end == millis("2026-07-10T10:30:00-04:00")
    assert event(appointment("S12", service, f11="^^^202607111000^202607111030")).data.start == millis("2026-07-11T10:00:00-04:00")
    assert event(appointment("S12", service)).data.start == millis("2026-07-12T10:00:00-04:00")
    assert event(appointment("S12", segment("AIP", f6="202607131000"))).data.start == millis("2026-07-13T10:00:00-04:00")
    assert event(appointment("S12")).data.start is None
    assert "start-missing" in notes(appointment("S12"))


def test_appointment_is_named_by_the_filler_and_names_the_order_that_it_serves():
    found = event(appointment("S12", f7="FOLLOWUP")).data

    assert (found.appointment, found.referral, found.purpose) == ("FI-1", "REF-1", "FOLLOWUP")
    assert event(appointment("S12", f2="", f26="", f27="ORD-9")).data == e.AppointmentChanged("PL-1", "booked", None, "ORD-9")
    assert event(appointment("S12", f26="")).data.referral is None


def test_appointment_without_id_is_refused():
    (item,) = read(appointment("S12", f1="", f2="")).items

    assert (item.reason, item.field) == ("field-missing", "SCH-2")
    assert read(message(header("SIU^S12"), pid())).items[0].segment == "SCH"
    assert read(message(header("SIU^S18"), pid())).items[0].reason == "trigger-not-mapped"


def test_group_appointment_is_an_event_for_each_person():
    items = read(appointment("S12", pid(f3="1^^^GEN^MR"), pid(f3="2^^^GEN^MR"), person=pid(f3="3^^^GEN^MR"))).items

    assert [item.person for item in items] == [person_key(SECRET, "GEN", n) for n in "123"]
    assert len({item.id for item in items}) == 3


def test_appointment_of_a_deceased_person_reports_the_death_too():
    booked, death = facts(appointment("S12", person=pid(f30="Y")))

    assert isinstance(booked, e.AppointmentChanged)
    assert death == e.PersonUpdated(deceased=True)


def test_sample_appointments():
    booked = read(sample("SIU-S12-01")).items[0]
    missed = read(sample("SIU-S26-01")).items[0]

    assert booked.data == e.AppointmentChanged(
        "36996", "booked", millis("2021-09-24T09:30:00+02:15"), None, "EMERGENCY", millis("2021-09-24T10:20:00+02:15")
    )
    assert missed.data.status == "noshow"
    assert missed.time == millis("2021-09-24T10:00:00+02:15")


def test_unexpected_event_segment_does_no_harm():
    assert event(appointment("S12", evn(f1="S12"))).data.status == "booked"
