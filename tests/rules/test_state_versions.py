"""States of the previous release are read with their original meaning."""

from __future__ import annotations

from base64 import b64decode

import msgspec
import pytest

from agents.coordination.person.encounter import Cancel, Encounter, Leave, Location
from agents.coordination.person.state import (
    HEAD_BYTES,
    STATE_VERSION,
    Alert,
    Appointment,
    Consent,
    Demographics,
    End,
    FieldTimes,
    Goal,
    Handoff,
    NotificationRecord,
    Person,
    Recent,
    Referral,
    TeamMember,
    UnreadableStateError,
    pack,
    packed_deadline,
    packed_open,
    unpack,
)
from streams.contract.events import PersonKey

VERSION_1 = b64decode(
    "AQAAAAAC+vCAAAHcABimcDEub2xkk9wAHAGnR0VORVJBTKJWMQSjSU1QzgAPQkDOAIlUQAAAAADNC7igoKJXMqNpY3WlQU5ORVjAoJCQlgLOAD0JAM4ALcbA"
    "A84AehIAAJOgolcxpHdhcmTOAIlUQM4AkPVgwsLR7HjcABwCp0dFTkVSQUyiVjIDo0lNUM4BMS0AAAAAAAAAoKCgoKDAoJCQkMDOAUBvQM4BQG9AwsLNUgjc"
    "ABwDp0dFTkVSQUyiVjMBoAAAAAAAAACgoKCgoMCgkJCQwM4BT7GAzgFPsYDCwgCU3AAZxBAAAQIDBAUGBwgJCgsMDQ4PpVRDTS0xAsQQEBESExQVFhcYGRob"
    "HB0eH84AiVRAzgXmnsC1cGNwL3ByYWN0aXRpb25lcjo4ODAxAcDOAvrwgAICAaAAkZLEECAhIiMkJSYnKCkqKywtLi+1cGNwL3ByYWN0aXRpb25lcjo4ODAx"
    "kADOAJiWgKdnZW5lcmFsqHByYWN0aWNlAQIFANwAGcQQEBESExQVFhcYGRobHB0eH6VOT1QtMgGmRS00NzExzgCJVEDOBddcgLVwY3AvcHJhY3RpdGlvbmVy"
    "Ojg4MDEBxBAgISIjJCUmJygpKissLS4vAAAFAqhtZXQtbGF0Zc4F7j/gkJAAzgXmnsCgoAAAAADcABnEECAhIiMkJSYnKCkqKywtLi+lUkVGLTEBpkUtNDcx"
    "Ms4AiVRAzgXIGkC5cmVmZXJyYWwtdGFyZ2V0L3Bvb2w6ZGVzawCiUjEAAAYArm5vdC1hcHBsaWNhYmxlzgW42ACQkADOBamVwKCgAAAA/9wAGcQQDw4NDAsK"
    "CQgHBgUEAwIBAKVNRUQtMQGmRS00NzEzzgCJVEDOBcgaQK1wY3AvcG9vbDpkZXNrAcAAAAYAqnN1cGVyc2VkZWTOBbjYAJCQAM4FqZXAoKAAAAACkZejcGNw"
    "sXByYWN0aXRpb25lcjo4ODAxAAAFpWhlYXJ0qHByYWN0aWNlkZfEECAhIiMkJSYnKCkqKywtLi+tTlRGLURJU0NIQVJHRQHOAIlUQAKStXBjcC9wcmFjdGl0"
    "aW9uZXI6ODgwMa9sZWFkL3Bvb2w6bGVhZHMDxAwwMTIzNDU2Nzg5YWKRlrRDYXJlQWN0aXZpdHlSZWNvcmRlZKJFOah1cm46dGVzdM4AehIAzgB7mKDEAYCR"
    "lcIHo3BjcKCgkdwAFKJSMalyZXF1ZXN0ZWSjMi4woK5wcmFjdGl0aW9uZXI6NaCgoKdyb3V0aW5lzgBqz8AAAACgAKCgoJXOAGrPwADOAFuNgAAAkZa1UmVm"
    "ZXJyYWxTdGF0dXNDaGFuZ2Vko0UxMKh1cm46dGVzdM4AehIAzgB7mKDEAYCR3AAQokcxpmFjdGl2Zah0byBzbGVlcKCgoADAoAAAyz/wAAAAAAAAwKAAkZIF"
    "qWltcHJvdmluZ5GYokExpmJvb2tlZM4BycOAolIxoAAAAAAAoAPOB1TUwADComVuoKCRk6VpY2QxMKVJNTAuOaZhY3RpdmWRlKU3MTgtN8tAIwAAAAAAAKRn"
    "L2RMzgB6EgAA"
)
"""Packed by the last release whose states had version 1."""

FIRST, SECOND, THIRD = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))

PERSON = Person(
    PersonKey("p1.old"),
    encounters=[
        Encounter(
            1,
            "GENERAL",
            "V1",
            status=4,
            class_="IMP",
            admitted=1_000_000,
            discharged=9_000_000,
            location=Location("ANNEX", "W2", "icu", 3_000),
            cancels=(Cancel(2, 4_000_000, 3_000_000), Cancel(3, 8_000_000, 0)),
            came_from=Location("", "W1", "ward"),
            last=9_000_000,
            touched=9_500_000,
            leave=Leave(5_000, began=False),
        ),
        Encounter(
            2,
            "GENERAL",
            "V2",
            status=3,
            class_="IMP",
            admitted=20_000_000,
            last=21_000_000,
            touched=21_000_000,
            leave=Leave(21_000, began=True),
        ),
        Encounter(3, "GENERAL", "V3", status=1, last=22_000_000, touched=22_000_000),
    ],
    handoffs=[
        Handoff(
            FIRST,
            "TCM-1",
            2,
            9_000_000,
            99_000_000,
            "pcp/practitioner:8801",
            cause_uuid=SECOND,
            encounter=1,
            next_at=50_000_000,
            next_step=1,
            step=2,
            status=2,
            gap=1,
            alerts=(Alert(THIRD, "pcp/practitioner:8801"),),
            owned_at=10_000_000,
            organisation="general",
            calendar="practice",
            opened_by=2,
            unit=5,
        ),
        Handoff(
            SECOND,
            "NOT-2",
            1,
            9_000_000,
            98_000_000,
            "pcp/practitioner:8801",
            cause_id="E-4711",
            encounter=1,
            notification=THIRD,
            status=5,
            gap=2,
            end=End("met-late", 99_500_000, 99_000_000),
        ),
        Handoff(
            THIRD,
            "REF-1",
            1,
            9_000_000,
            97_000_000,
            "referral-target/pool:desk",
            cause_id="E-4712",
            focus="R1",
            status=6,
            end=End("not-applicable", 96_000_000, 95_000_000, by_death=True),
        ),
        Handoff(
            FIRST[::-1],
            "MED-1",
            1,
            9_000_000,
            97_000_000,
            "pcp/pool:desk",
            cause_id="E-4713",
            encounter=1,
            status=6,
            end=End("superseded", 96_000_000, 95_000_000, by_encounter=2),
        ),
    ],
    members=[TeamMember("pcp", "practitioner:8801", 0, 0, 5, "heart", "practice")],
    notifications=[
        NotificationRecord(THIRD, "NTF-DISCHARGE", 1, 9_000_000, 2, ("pcp/practitioner:8801", "lead/pool:leads"), 3),
    ],
    seen=b"0123456789ab",
    recent=[Recent("CareActivityRecorded", "E9", "urn:test", 8_000_000, 8_100_000, b"\x80")],
    consents=[Consent(False, 7, "pcp")],
    referrals=[
        Referral(
            "R1",
            "requested",
            "2.0",
            target="practitioner:5",
            requested=7_000_000,
            field_times=FieldTimes(target=7_000_000, priority=6_000_000),
            waiting=(Recent("ReferralStatusChanged", "E10", "urn:test", 8_000_000, 8_100_000, b"\x80"),),
        )
    ],
    goals=[Goal("G1", "active", "to sleep", achieved=((5, "improving"),))],
    appointments=[Appointment("A1", "booked", 30_000_000, "R1")],
    stay_count=3,
    prune_at=123_000_000,
    demographics=Demographics(language="en"),
    conditions=(("icd10", "I50.9", "active"),),
    observations=(("718-7", 9.5, "g/dL", 8_000_000),),
)


def test_state_of_version_1_is_read_as_the_same_person():
    assert VERSION_1[0] == 1
    assert unpack(VERSION_1) == PERSON


def test_state_of_version_1_is_written_in_the_current_version_with_the_same_meaning():
    again = pack(unpack(VERSION_1))
    assert again[0] == STATE_VERSION
    assert unpack(again) == PERSON
    assert (packed_deadline(again), packed_open(again)) == (packed_deadline(VERSION_1), packed_open(VERSION_1)) == (50_000_000, 1)


def test_causes_are_read_whether_or_not_they_are_uuids():
    causes = [handoff.cause for handoff in unpack(VERSION_1).handoffs]
    assert causes == ["10111213-1415-1617-1819-1a1b1c1d1e1f", "E-4711", "E-4712", "E-4713"]


def test_state_of_version_1_with_the_fewer_fields_of_its_first_releases_is_read():
    rows = msgspec.msgpack.decode(VERSION_1[HEAD_BYTES:])
    rows[1] = [row[:20] for row in rows[1]]
    rows[2] = [row[:9] for row in rows[2]]
    person = unpack(VERSION_1[:HEAD_BYTES] + msgspec.msgpack.encode(rows[:8]))
    assert [encounter.visit for encounter in person.encounters] == ["V1", "V2", "V3"]
    assert [(h.rule, h.focus, h.notification, h.closure) for h in person.handoffs] == [
        ("TCM-1", None, None, ""),
        ("NOT-2", None, THIRD, ""),
        ("REF-1", "R1", None, ""),
        ("MED-1", None, None, ""),
    ]


@pytest.mark.parametrize("body", [b"\x93\x01\x02\x03", b"\x80", b"\xc0", b"\x93\xa1p\x91\x01\x90", b"\x93\xa1p\x90\x91\x90"])
def test_bytes_of_version_1_that_are_not_a_state_are_an_error(body):
    with pytest.raises(UnreadableStateError):
        unpack(VERSION_1[:HEAD_BYTES] + body)


def test_state_without_a_version_is_never_guessed():
    with pytest.raises(UnreadableStateError):
        unpack(b"\x00" + VERSION_1[1:])
