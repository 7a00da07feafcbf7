"""The JSON form of facts and effects."""

import json

import pytest
from tables import each

from streams.contract import effects, events
from streams.contract.json_form import PUBLISHED, FormError, fact_from_json, fact_to_json, record_from_json
from streams.contract.person_key import person_key

STAY = {"facility": "GENERAL", "visit": "V1"}


def key_of(authority, identifier):
    return person_key(b"secret", authority, identifier)


def refused(type_name, data):
    with pytest.raises(FormError) as caught:
        fact_from_json(type_name, data, key_of)
    return str(caught.value)


@each(
    ("type_name", "data", "message"),
    [
        ("PatientAdmited", {}, "type: 'PatientAdmited' is not an event; did you mean PatientAdmitted?"),
        ("RecordRelayed", {}, "type: 'RecordRelayed' is not an event"),
        ("NotificationIssued", {}, "type: 'NotificationIssued' is not an event; did you mean NotificationQueued?"),
        ("PatientAdmitted", None, "data: must be an object, not null"),
        ("PatientAdmitted", {"class": "IMP"}, "data.encounter: missing"),
        ("PatientAdmitted", {"encounter": None, "class": "IMP"}, "data.encounter: missing"),
        ("PatientAdmitted", {"encounter": STAY}, "data.class: missing"),
        ("PatientAdmitted", {"encounter": STAY, "class_": "IMP"}, "data.class_: is not a field of PatientAdmitted; did you mean class?"),
        ("PatientAdmitted", {"encounter": {"visit": "V"}, "class": "IMP"}, "data.encounter.facility: missing"),
        ("PatientAdmitted", {"encounter": STAY, "class": 7}, "data.class: must be text, not a number"),
        (
            "PatientAdmitted",
            {"encounter": STAY, "class": "I\ud800"},
            "data.class: contains half of a surrogate pair, which is not valid text",
        ),
        ("PatientAdmitted", {"encounter": STAY, "class": "IMP", "planned": 1}, "data.planned: must be true or false, not a number"),
        ("PatientAdmitted", {"encounter": STAY, "class": "IMP", "diagnoses": {}}, "data.diagnoses: must be a list, not an object"),
        (
            "PatientAdmitted",
            {"encounter": STAY, "class": "IMP", "diagnoses": [{"system": "icd", "code": "I50"}, {"system": "icd"}]},
            "data.diagnoses[1].code: missing",
        ),
        (
            "PatientAdmitted",
            {"encounter": STAY, "class": "IMP", "diagnoses": [{"system": "s", "code": "c", "rank": 1.5}]},
            "data.diagnoses[0].rank: must be a whole number, not a number",
        ),
        (
            "PatientAdmitted",
            {"encounter": STAY, "class": "IMP", "diagnoses": [{"system": "s", "code": "c", "rank": 1 << 63}]},
            "data.diagnoses[0].rank: must fit in 64 bits",
        ),
        (
            "AppointmentChanged",
            {"appointment": "A1", "status": "booked", "start": "2026-13-01"},
            "data.start: '2026-13-01' is not an ISO 8601 timestamp with an offset; write for example 2026-07-02T15:00:00-04:00",
        ),
        (
            "AppointmentChanged",
            {"appointment": "A1", "status": "booked", "start": 1782990000000},
            "data.start: must be a timestamp as text, not a number; for example 2026-07-02T15:00:00-04:00",
        ),
        ("GoalUpdated", {"goal": "G", "lifecycle_status": "active", "weight": float("nan")}, "data.weight: must be a finite number"),
        ("GoalUpdated", {"goal": "G", "lifecycle_status": "active", "weight": 10**400}, "data.weight: must be a finite number"),
        ("GoalUpdated", {"goal": "G", "lifecycle_status": "active", "weight": True}, "data.weight: must be a number, not true or false"),
        ("TaskClaimed", {"task": "t", "by": {}}, "data.by.role: missing"),
        ("PersonMerged", {"into": {"authority": "GENERAL"}}, "data.into.identifier: missing"),
        ("PersonMerged", {"into": {"authority": "GENERAL", "identifier": 7}}, "data.into.identifier: must be text, not a number"),
        ("PersonMerged", {"into": {"authority": "GENERAL", "identifier": " "}}, "data.into: the person's identifier is blank"),
        (
            "PersonMerged",
            {"into": {"authority": "GENERAL", "identifer": "7"}},
            "data.into.identifer: is not a field of a person; did you mean identifier?",
        ),
    ],
)
def test_line_with_a_wrong_form_is_refused_with_the_field(type_name, data, message):
    assert refused(type_name, data) == message


def test_only_instants_are_quoted_in_errors():
    message = refused("PatientAdmitted", {"encounter": {"facility": ["Jane Roe"]}, "class": "IMP"})

    assert "Jane" not in message


def test_null_is_the_same_as_left_out():
    with_null = fact_from_json(
        "PatientAdmitted", {"encounter": STAY, "class": "IMP", "reason": None, "members": None, "registration": None}
    )

    assert with_null == fact_from_json("PatientAdmitted", {"encounter": STAY, "class": "IMP"})


def test_a_person_given_as_an_identifier_is_keyed():
    fact = fact_from_json("PersonMerged", {"into": {"authority": "GENERAL", "identifier": "77001"}}, key_of)

    assert fact == events.PersonMerged(into=events.PersonRef(key=key_of("GENERAL", "77001")))


def test_a_party_given_as_text_is_that_practitioner():
    fact = fact_from_json("TaskClaimed", {"task": "t", "by": "maria"})

    assert fact.by == events.Party(role="", practitioner=events.Practitioner(id="maria"))


def test_a_party_that_names_somebody_may_leave_its_role_out():
    fact = fact_from_json("TaskClaimed", {"task": "t", "by": {"practitioner": "maria"}})

    assert fact.by == events.Party(role="", practitioner=events.Practitioner(id="maria"))


def test_a_party_without_a_role_takes_the_role_of_its_seat():
    fact = fact_from_json("CareTeamChanged", {"members": [{"role": "pcp", "party": "8801", "from": "2026-07-01T00:00:00Z"}]})

    assert fact.members[0] == events.Member(
        role="pcp", party=events.Party(role="pcp", practitioner=events.Practitioner(id="8801")), from_=events.Millis(1782864000000)
    )


def test_examples_of_the_events_page_are_read():
    line = json.loads(
        '{"encounter":{"facility":"GENERAL","visit":"V77001"},"disposition":"home","diagnoses":[{"system":"icd","code":"I50.9","rank":1}],'
        '"procedures":["0SR"],"complexity":"high","class":"IMP","deceased":false}'
    )

    fact = fact_from_json("PatientDischarged", line)

    assert fact == events.PatientDischarged(
        encounter=events.EncounterRef("GENERAL", "V77001"),
        disposition="home",
        diagnoses=(events.Diagnosis("icd", "I50.9", 1),),
        procedures=("0SR",),
        complexity="high",
        class_="IMP",
        deceased=False,
    )
    assert fact_to_json(fact) == line


def test_bytes_and_pairs_are_read_back_as_they_were_written():
    fact = events.RecordRelayed("care.goal.v1", 3, 7, events.Millis(1500), b"\x00\xff", (("ce_id", b"\x01"),))
    said = fact_to_json(fact)

    assert said["timestamp"] == "1970-01-01T00:00:01.500Z"
    assert record_from_json(events.RecordRelayed, json.loads(json.dumps(said))) == fact


def test_an_effect_is_written_so_that_it_is_read_back():
    effect = effects.TaskState(
        id="i", at=events.Millis(0), person=events.PersonKey("p1.x"), cause="c", rule="r", rule_version=1, handoff="h", state="requested",
        owner="pcp/pool:x", due=events.Millis(86_400_000), step=0, title="t", neutral_title="n", why="w",
    )  # fmt: skip

    assert record_from_json(effects.TaskState, json.loads(json.dumps(fact_to_json(effect)))) == effect


def test_every_published_fact_has_a_reader_that_names_its_first_missing_field():
    for name, kind in PUBLISHED.items():
        required = [
            f
            for f in kind.__struct_fields__
            if f not in kind.__struct_fields__[len(kind.__struct_fields__) - len(kind.__struct_defaults__) :]
        ]
        if required:
            assert refused(name, {}).endswith("missing")
        else:
            assert fact_from_json(name, {}) == kind()


@pytest.mark.parametrize(
    ("kind", "field", "data"),
    [
        ("GoalUpdated", "expressed_by", {"goal": "G1", "lifecycle_status": "active"}),
        ("ReferralStatusChanged", "by", {"referral": "R1", "status": "accepted"}),
    ],
)
def test_party_is_read_as_its_role_in_a_field_for_a_role(kind, field, data):
    role = "patient" if field == "expressed_by" else "target"
    fact = fact_from_json(kind, {**data, field: {"role": role, "organization": "heart-clinic"}})
    assert getattr(fact, field) == role


def test_party_without_a_known_role_is_refused_in_a_field_for_a_role():
    with pytest.raises(FormError, match=r"data\.by"):
        fact_from_json("ReferralStatusChanged", {"referral": "R1", "status": "accepted", "by": {"role": "porter"}})
