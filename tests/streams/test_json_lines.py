"""Events as JSON lines: what a person may write by hand, and the errors if it is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import each

from streams.contract import events as e
from streams.contract.events import Event
from streams.contract.instants import parse_instant
from streams.contract.person_key import person_key
from streams.intake.json_lines import read_line
from streams.intake.reading import REFUSED, Refused
from streams.intake.settings import IntakeSettings

SECRET = b"for tests only, 32 bytes or more"
SETTINGS = IntakeSettings(SECRET)
DISCHARGE = {
    "type": "PatientDischarged",
    "id": "GENERAL-4711",
    "source": "urn:hospital:general",
    "time": "2026-07-02T15:00:00-04:00",
    "recorded": "2026-07-02T15:00:04-04:00",
    "person": {"authority": "GENERAL", "identifier": "77001"},
    "data": {"encounter": {"facility": "GENERAL", "visit": "V77001"}, "disposition": "home"},
}


def read(value):
    reading = read_line(value if isinstance(value, bytes) else json.dumps(value).encode(), SETTINGS)
    assert reading is not None
    (item,) = reading.items
    return item


def without(*names, **more):
    return {key: value for key, value in DISCHARGE.items() if key not in names} | more


def test_line_of_the_contract_is_the_event_it_says():
    assert read(DISCHARGE) == Event(
        id="GENERAL-4711",
        source="urn:hospital:general",
        time=parse_instant("2026-07-02T19:00:00Z"),
        arrival=parse_instant("2026-07-02T19:00:04Z"),
        person=person_key(SECRET, "GENERAL", "77001"),
        data=e.PatientDischarged(e.EncounterRef("GENERAL", "V77001"), "home"),
    )


def test_recorded_defaults_to_the_time():
    found = read(without("recorded"))

    assert found.arrival == found.time
    assert read(without(recorded=None)).arrival == found.time


def test_backfill_is_marked():
    assert read(without(backfill=True)).backfill
    assert not read(DISCHARGE).backfill


def test_the_other_person_of_a_merge_is_keyed_too():
    found = read(without("data", "type", type="PersonMerged", data={"into": {"authority": "GENERAL", "identifier": "1"}}))

    assert found.data == e.PersonMerged(e.PersonRef(person_key(SECRET, "GENERAL", "1")))


@pytest.mark.parametrize("line", [b"", b"   ", b"\t\r", b"# a heading", b"  # {}", b"\xef\xbb\xbf", b"\x1a"])
def test_blank_lines_and_comments_are_skipped(line):
    assert read_line(line, SETTINGS) is None


@each(
    ("line", "reason", "path"),
    [
        (b"{", "not-json", ""),
        (b"[1]", "not-json", ""),
        (b"null", "not-json", ""),
        (b"\xff{}", "not-json", ""),
        (b'{"a":"\xff"}', "not-json", ""),
        (b'{"a":"\\ud800"}', "not-json", ""),
        (b"[" * 100_000, "not-json", ""),
        (b"{}{}", "not-json", ""),
        (without("id"), "form-wrong", "id"),
        (without("type"), "form-wrong", "type"),
        (without("source"), "form-wrong", "source"),
        (without("time"), "form-wrong", "time"),
        (without("person"), "form-wrong", "person"),
        (without("data"), "form-wrong", "data"),
        (without(id=""), "form-wrong", "id"),
        (without(id=7), "form-wrong", "id"),
        (without(type="PatientWent"), "form-wrong", "type"),
        (without(type="RecordRelayed"), "form-wrong", "type"),
        (without(time="2026-07-02T15:00:00"), "form-wrong", "time"),
        (without(time="2026-07-02"), "form-wrong", "time"),
        (without(time=1783018800000), "form-wrong", "time"),
        (without(recorded="soon"), "form-wrong", "recorded"),
        (without(person={"authority": "GENERAL"}), "form-wrong", "person.identifier"),
        (without(person={"authority": "GENERAL", "identifier": "  "}), "form-wrong", "person"),
        (without(person={"authority": "GENERAL", "identifier": 7}), "form-wrong", "person.identifier"),
        (without(person="77001"), "form-wrong", "person"),
        (without(person={"key": " "}), "form-wrong", "person.key"),
        (without(backfill="yes"), "form-wrong", "backfill"),
        (without(recoreded="2026-07-02T15:00:04-04:00"), "form-wrong", "recoreded"),
        (without(data=[]), "form-wrong", "data"),
        (without(data={"encounter": {"facility": "GENERAL"}}), "form-wrong", "data.disposition"),
        (without(data={"encounter": {"facility": 1}, "disposition": "home"}), "form-wrong", "data.encounter.facility"),
        (without(data={"encounter": {"facility": "G"}, "disposition": "home", "to": 1}), "form-wrong", "data.to"),
    ],
)  # fmt: skip
def test_line_that_is_no_event_is_refused_with_the_path_to_mend(line, reason, path):
    found = read(line)

    assert isinstance(found, Refused)
    assert (found.reason, found.field) == (reason, path)
    assert found.reason in REFUSED
    assert found.remedy
    assert "77001" not in repr(found.detail)


def test_refused_line_keeps_its_identity_and_its_place():
    reading = read_line(json.dumps(without(data={})).encode(), SETTINGS)

    assert (reading.items[0].source, reading.items[0].id) == ("urn:hospital:general", "GENERAL-4711")
    assert reading.arrival == parse_instant("2026-07-02T19:00:04Z")


def test_attributes_of_cloud_events_are_passed_over():
    assert isinstance(read(without(specversion="1.0", traceparent="00-1-2-01")), Event)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_makes_it_raise(value):
    for line in (
        value,
        without(person=value),
        without(data=value),
        without(type="GoalUpdated", data={"goal": value, "lifecycle_status": value}),
    ):
        read_line(json.dumps(line).encode(), SETTINGS)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(line):
    read_line(line, SETTINGS)


def test_line_cut_at_any_byte_is_refused():
    whole = json.dumps(DISCHARGE).encode()

    for at in range(1, len(whole)):
        assert isinstance(read(whole[:at]), Refused)


@pytest.mark.parametrize("value", ["x" * 513, "with\nline end", "with\x00zero"])
@pytest.mark.parametrize("name", ["id", "source"])
def test_id_or_source_that_readers_of_kafka_would_refuse_is_refused_here(name, value):
    reading = read_line(json.dumps(DISCHARGE | {name: value}).encode(), SETTINGS)
    (item,) = reading.items
    assert isinstance(item, Refused)
    assert (item.field, item.reason) == (name, "form-wrong")
    assert "at most 512 bytes" in item.detail


@pytest.mark.parametrize("name", ["type", "source", "id"])
def test_refused_line_does_not_contain_the_value_of_its_name_field(name):
    (item,) = read_line(json.dumps(DISCHARGE | {"data": {}, name: "Jane Doe " * 100}).encode(), SETTINGS).items
    assert isinstance(item, Refused)
    assert "Jane Doe Jane Doe" not in str(item).replace(item.detail, "")
