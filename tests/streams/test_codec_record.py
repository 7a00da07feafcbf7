"""A record of an inbound topic: key, headers, value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.avro.codec import KEY_BYTES_MAX, SOURCES_KEPT, STANDARD, Codec, Refusal, frame, headers_of, read_record
from streams.avro.schemas import RECORD_OF
from streams.contract import events as e
from streams.contract.cloudevents import ATTRIBUTE_BYTES_MAX, attribute_fits
from streams.contract.topics import FACT_OF, INBOUND, TOPIC_OF

ARRIVAL = 1_783_018_804_000
EVENT = e.Event(
    id="GENERAL-4711",
    source="urn:hospital:general",
    time=e.Millis(1_783_018_800_000),
    arrival=e.Millis(ARRIVAL),
    person=e.PersonKey("p1.3q2-7wAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBk"),
    data=e.PatientDischarged(e.EncounterRef("GENERAL", "V77001"), "home"),
)
KEY = EVENT.person.encode()


def read(event=EVENT, *, topic="care.discharge.v1", key=KEY, value=..., headers=None, without=None, **changed):
    """Read the record of *event*, with some headers changed or removed."""
    given = headers_of(event) if headers is None else headers
    given = [(name, changed.pop(name, said)) for name, said in given if name != without] + list(changed.items())
    return read_record(topic, key, frame(event.data) if value is ... else value, given, ARRIVAL)


def test_a_record_without_value_or_key_is_refused():
    assert read(value=None) == read(value=b"") == Refusal("no-value")
    assert read(key=None) == read(key=b"") == Refusal("no-key")


@pytest.mark.parametrize("key", ["é".encode(), b"\xff", b"p1. x", b"p1.\n", b"p1.\0", b"p" * (KEY_BYTES_MAX + 1)])
def test_a_key_that_can_be_no_person_key_is_refused(key):
    assert read(key=key) == Refusal("key-bad")


@pytest.mark.parametrize("name", ["ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time"])
def test_a_required_attribute_that_is_missing_or_null_is_named(name):
    assert read(without=name) == Refusal("header-missing", name)
    assert read(**{name: None}) == Refusal("header-missing", name)


def test_a_record_without_headers_is_refused():
    assert read(headers=[]) == Refusal("header-missing", "ce_specversion")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_specversion", b""),
        ("ce_id", b""),
        ("ce_id", b"\xff"),
        ("ce_id", b"a\0b"),
        ("ce_id", b"x" * (ATTRIBUTE_BYTES_MAX + 1)),
        ("ce_source", b""),
        ("ce_source", b"\xff"),
        ("ce_source", b"urn:\n"),
        ("ce_source", b"x" * (ATTRIBUTE_BYTES_MAX + 1)),
        ("ce_datacontenttype", b"application/json"),
        ("content-type", b"application/json"),
        ("ce_backfill", b"yes"),
        ("ce_backfill", b""),
    ],
)
def test_an_attribute_that_holds_what_it_may_not_is_named(name, said):
    assert read(**{name: said}) == Refusal("header-bad", name)


@pytest.mark.parametrize("said", [b"", b"2026-07-02", b"2026-07-02T15:00:00", b"1783018800000", b"\xff", b"9999-12-31T23:59:59Z"])
def test_a_time_that_is_no_instant_with_an_offset_is_refused(said):
    assert read(ce_time=said) == Refusal("time-bad", "ce_time")


def test_an_attribute_that_is_there_twice_is_refused_even_if_both_say_the_same():
    headers = headers_of(EVENT)

    assert read(headers=[*headers, ("ce_id", b"GENERAL-4711")]) == Refusal("header-bad", "ce_id")
    assert read(headers=[*headers, ("ce_x", b"1"), ("ce_x", b"2")]) == Refusal("header-bad", "ce_*")


def test_unknown_headers_may_occur_twice_and_contain_anything():
    assert read(headers=[*headers_of(EVENT), ("baggage", b"\xff"), ("baggage", None), ("", b"")]) == EVENT


def test_a_type_that_does_not_exist_is_refused():
    assert read(ce_type=b"PatientVanished") == read(ce_type=b"\xff") == Refusal("unknown-type")


def test_an_effect_is_no_event():
    assert read(ce_type=b"NotificationIssued") == Refusal("unknown-type")


@pytest.mark.parametrize("topic", [topic.name for topic in INBOUND if topic.name != "care.discharge.v1"])
def test_a_type_on_another_topic_is_refused(topic):
    assert read(topic=topic) == Refusal("wrong-topic", "PatientDischarged")


def test_a_value_of_another_type_than_the_header_says_is_refused():
    assert read(value=frame(e.DischargeCancelled(e.EncounterRef("GENERAL")))) == Refusal("type-mismatch", "PatientDischarged")
    assert read(topic="care.discharge.v1", ce_type=b"DischargeCancelled") == Refusal("type-mismatch", "DischargeCancelled")


@pytest.mark.parametrize(
    ("value", "code"), [(b"{}", "not-avro"), (b"\0\0\0\0\x01x", "unknown-schema"), (b"\xc3\x01", "cut-short"), (b"\0", "cut-short")]
)
def test_a_value_that_cannot_be_read_is_refused(value, code):
    assert read(value=value) == Refusal(code)


def test_every_cut_of_the_value_is_refused():
    value = frame(EVENT.data)

    assert all(isinstance(read(value=value[:length]), Refusal) for length in range(len(value)))
    assert read(value=value + b"\0") == Refusal("left-over", "PatientDischarged")


def test_nothing_of_a_refused_record_is_quoted():
    secret = b"JANEROE"
    refused = [
        read(value=b"\xc3\x01" + secret * 2),
        read(value=frame(EVENT.data) + secret),
        read(key=secret + b" "),
        read(ce_type=secret),
        read(ce_time=secret),
        read(ce_id=secret + b"\0"),
        read(headers=[*headers_of(EVENT), ("ce_JANEROE", b""), ("ce_JANEROE", b"")]),
        read(topic="JANEROE"),
    ]

    for refusal in refused:
        assert isinstance(refusal, Refusal)
        assert "JANEROE" not in refusal.sentence


# ---- valid records


def test_a_record_is_the_event_that_was_published_and_arrives_when_the_broker_says():
    assert read() == EVENT


@pytest.mark.parametrize("backfill", [True, False])
def test_history_is_marked_as_such(backfill):
    event = e.Event(**{name: getattr(EVENT, name) for name in EVENT.__struct_fields__} | {"backfill": backfill})

    assert (("ce_backfill", b"true") in headers_of(event)) is backfill
    assert read(event) == event
    assert read(EVENT, ce_backfill=b"true" if backfill else b"false") == event


def test_a_trace_header_is_passed_on_unchanged_and_not_checked():
    assert headers_of(EVENT, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")[-1][0] == "traceparent"
    assert read(headers=headers_of(EVENT, b"\xff")) == EVENT


@pytest.mark.parametrize(
    ("said", "millis"),
    [
        (b"2026-07-02T19:00:00Z", 1_783_018_800_000),
        (b"2026-07-02T15:00:00-04:00", 1_783_018_800_000),
        (b"2026-07-02T15:00:00.250-04:00", 1_783_018_800_250),
        (b"2026-07-02T19:00:00.123456Z", 1_783_018_800_123),
        (b"2026-07-02T19:00Z", 1_783_018_800_000),
    ],
)
def test_a_time_with_an_offset_is_read(said, millis):
    assert read(ce_time=said).time == millis


@given(st.text(max_size=20) | st.sampled_from(["x" * ATTRIBUTE_BYTES_MAX, "x" * (ATTRIBUTE_BYTES_MAX + 1), "é" * 256, "é" * 257]))
def test_attributes_accept_exactly_what_readers_accept(text):
    assert attribute_fits(text) == isinstance(read(ce_id=text.encode()), e.Event)
    assert attribute_fits(text) == isinstance(read(ce_source=text.encode()), e.Event)


def test_half_a_surrogate_pair_fits_no_attribute():
    assert not attribute_fits("\ud800")


def test_the_content_type_may_be_left_out():
    assert read(without="ce_datacontenttype") == read(without="content-type") == EVENT
    assert read(headers=[h for h in headers_of(EVENT) if "type" not in h[0] or h[0] == "ce_type"]) == EVENT


def test_the_events_of_one_source_share_its_name():
    assert read().source is read().source


def test_many_sources_do_not_fill_the_memory():
    codec = Codec()
    for i in range(SOURCES_KEPT + 10):
        headers = [(name, b"urn:%d" % i if name == "ce_source" else said) for name, said in headers_of(EVENT)]
        assert codec.read_record("care.discharge.v1", KEY, frame(EVENT.data), headers, ARRIVAL).source == f"urn:{i}"

    assert len(codec._sources) == SOURCES_KEPT


def test_a_registry_frame_is_read_like_a_single_object():
    codec = Codec()
    codec.use_registry({name: i for i, name in enumerate(RECORD_OF)})

    for value in (codec.frame(EVENT.data), STANDARD.frame(EVENT.data)):
        assert codec.read_record("care.discharge.v1", KEY, value, headers_of(EVENT), ARRIVAL) == EVENT


def test_every_event_type_has_a_topic():
    for name in FACT_OF:
        refusal = read_record(
            TOPIC_OF[name].name, KEY, b"{}", [(h, name.encode() if h == "ce_type" else said) for h, said in headers_of(EVENT)], ARRIVAL
        )
        assert refusal == Refusal("not-avro")
