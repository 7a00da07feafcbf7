"""Avro bytes: what is written, and how strictly it is read."""

import io
import json
import struct
from pathlib import Path

import fastavro
import msgspec
import pytest
from avro_records import RECORDS
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import each

import schemas
from streams.avro.codec import STANDARD, Codec, Refusal, effect_record
from streams.avro.compiler import compile_record
from streams.avro.resolution import UnfitSchemaError, _plain, resolving_reader
from streams.avro.schemas import RECORD_OF, contract_of
from streams.contract import effects as x
from streams.contract import events as e
from streams.contract.codes import CODES
from streams.contract.json_form import record_from_json
from streams.contract.reasons import REASONS

EXAMPLES = sorted((Path(schemas.__file__).parent / "avro" / "examples").glob("*/*.json"))
STAY = e.EncounterRef("GENERAL", "V1")
FASTAVRO = {name: fastavro.parse_schema(_plain(contract_of(name).schema)) for name in RECORD_OF}


def example(path):
    return record_from_json(RECORD_OF[path.parent.name], json.loads(path.read_text()), lambda authority, identifier: e.PersonKey("p1.x"))


def plain(value):
    """Return a record in fastavro's form: names as in the schema, enums as symbols."""
    if isinstance(value, msgspec.Struct):
        found = {}
        for field in msgspec.structs.fields(value):
            inner = getattr(value, field.name)
            coded = (type(value).__name__, field.name) in CODES and inner is not None
            found[field.encode_name] = inner.replace("-", "_") if coded else plain(inner)
        return found
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], bytes | None):
        return {"name": value[0], "value": value[1]}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def refusal_of(kind, payload):
    found = STANDARD.decode(kind, payload)
    assert isinstance(found, Refusal)
    return found.code


# ---- wrong bytes


@each("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_cut_of_a_value_is_refused(path):
    value = STANDARD.frame(example(path))

    for length in range(len(value)):
        assert isinstance(STANDARD.read_frame(value[:length]), Refusal)


@each("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_change_of_one_byte_is_refused_or_writes_itself_back(path):
    value = STANDARD.frame(example(path))
    for place in range(len(value)):
        changed = bytearray(value)
        for byte in range(256):
            changed[place] = byte
            found = STANDARD.read_frame(bytes(changed))

            assert isinstance(found, Refusal) or STANDARD.frame(found) == changed, (place, byte)


@settings(max_examples=300)
@given(RECORDS, st.data())
def test_bytes_that_are_inserted_removed_or_changed_are_refused_or_write_themselves_back(record, data):
    payload = bytearray(STANDARD.encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(payload)))
        payload[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))

    found = STANDARD.decode(type(record), bytes(payload))

    assert isinstance(found, Refusal) or STANDARD.encode(found) == payload


@given(st.sampled_from(sorted(RECORD_OF)), st.binary(max_size=60))
def test_noise_is_refused_or_writes_itself_back(name, payload):
    found = STANDARD.decode(RECORD_OF[name], payload)

    assert isinstance(found, Refusal) or STANDARD.encode(found) == payload


def test_bytes_after_the_end_are_refused():
    payload = STANDARD.encode(e.AdmissionCancelled(STAY))

    assert refusal_of(e.AdmissionCancelled, payload + b"\0") == "left-over"


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"\x8e\x00GENERAL\x04V1\x00", id="length longer than it need be"),
        pytest.param(b"\x0dGENERAL\x04V1\x00", id="negative length"),
        pytest.param(b"\x0eGENERAL\x04V1\x04", id="union index too high"),
        pytest.param(b"\x0eGENERAL\x04V1\x01", id="union index -1"),
        pytest.param(b"\x0eGENERAL\x04V1\x80\x00", id="union index longer than it need be"),
        pytest.param(b"\x0e\xc3ENERAL\x04V1\x00", id="not UTF-8"),
        pytest.param(b"\x06\xed\xa0\x80\x04V1\x00", id="half a surrogate pair"),
        pytest.param(b"\x8e\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00GENERAL\x04V1\x00", id="length without end"),
        pytest.param(b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02GENERAL\x04V1\x00", id="length beyond 64 bits"),
    ],
)
def test_bytes_that_the_writer_cannot_produce_are_refused(payload):
    assert refusal_of(e.AdmissionCancelled, payload) == "not-canonical"


def test_fastavro_reads_the_union_index_minus_one_and_we_do_not():
    payload = b"\x0eGENERAL\x04V1\x01\x02x"

    assert fastavro.schemaless_reader(io.BytesIO(payload), FASTAVRO["AdmissionCancelled"])["reason"] == "x"
    assert refusal_of(e.AdmissionCancelled, payload) == "not-canonical"


@pytest.mark.parametrize("index", [1, 3, 28, 127, 128])
def test_an_enum_index_out_of_range_is_refused(index):
    good = STANDARD.encode(e.ConditionRecorded("c", "s", "active"))
    assert STANDARD.decode(e.ConditionRecorded, good[:-1] + b"\x02").clinical_status == "active"

    assert refusal_of(e.ConditionRecorded, good[:-1] + bytes([index])) == "not-canonical"


@pytest.mark.parametrize("byte", [2, 3, 127, 128, 255])
def test_a_boolean_is_nothing_but_0_or_1(byte):
    good = STANDARD.encode(e.CareTeamChanged(members=(), replace=True))

    assert refusal_of(e.CareTeamChanged, good[:-1] + bytes([byte])) == "not-canonical"


def test_a_list_in_two_blocks_or_with_a_block_of_negative_count_is_refused():
    one = b"\x06pcp" + b"\x06pcp" + b"\0\0\0" + b"\0\0\0"
    good = b"\x04" + one * 2 + b"\x00" + b"\x00"
    assert len(STANDARD.decode(e.CareTeamChanged, good).members) == 2

    assert refusal_of(e.CareTeamChanged, b"\x02" + one + b"\x02" + one + b"\x00\x00") == "not-canonical"
    assert refusal_of(e.CareTeamChanged, b"\x03" + bytes([len(one) * 4]) + one * 2 + b"\x00\x00") == "not-canonical"
    assert refusal_of(e.CareTeamChanged, b"\x84\x00" + one * 2 + b"\x00\x00") == "not-canonical"


def test_a_list_that_claims_billions_of_items_is_refused_at_once():
    assert refusal_of(e.CareTeamChanged, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01") == "cut-short"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), struct.unpack("<d", b"\x01\0\0\0\0\0\xf0\x7f")[0]])
def test_a_number_that_is_not_finite_is_neither_read_nor_written(value):
    good = STANDARD.encode(e.ObservationRecorded("c", 1.0, "kg", e.Millis(0)))
    bad = good.replace(struct.pack("<d", 1.0), struct.pack("<d", value))

    assert refusal_of(e.ObservationRecorded, bad) == "out-of-range"
    with pytest.raises(ValueError, match="finite"):
        STANDARD.encode(e.ObservationRecorded("c", value, "kg", e.Millis(0)))


@pytest.mark.parametrize("instant", [1 << 62, -(1 << 62), 253_402_300_800_000])
def test_an_instant_that_no_calendar_has_is_neither_read_nor_written(instant):
    good = STANDARD.encode(e.ObservationRecorded("c", 1.0, "kg", e.Millis(0)))
    out = io.BytesIO()
    fastavro.schemaless_writer(out, "long", instant)

    assert refusal_of(e.ObservationRecorded, good[:-1] + out.getvalue()) == "out-of-range"
    with pytest.raises(ValueError, match="years"):
        STANDARD.encode(e.ObservationRecorded("c", 1.0, "kg", instant))


def test_a_code_outside_its_set_is_not_written():
    with pytest.raises(ValueError, match="TaskStatus"):
        STANDARD.encode(e.ReferralStatusChanged("R", "declined", "target"))


def test_half_a_surrogate_pair_and_a_number_beyond_64_bits_are_not_written():
    with pytest.raises(ValueError, match="surrogates"):
        STANDARD.encode(e.AdmissionCancelled(STAY, "\ud800"))
    with pytest.raises(ValueError, match="64 bits"):
        STANDARD.encode(e.GoalUpdated("G", "active", attainment=1 << 63))


# ---- valid bytes


@settings(max_examples=300)
@given(RECORDS)
def test_what_is_written_is_what_fastavro_writes_and_is_read_back_the_same(record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, FASTAVRO[type(record).__name__], plain(record))

    payload = STANDARD.encode(record)

    assert payload == out.getvalue()
    assert STANDARD.decode(type(record), payload) == record


@each("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_is_written_as_fastavro_writes_it(path):
    record, out = example(path), io.BytesIO()

    fastavro.schemaless_writer(out, FASTAVRO[path.parent.name], plain(record), strict=True)

    assert STANDARD.encode(record) == out.getvalue()


def test_the_code_of_a_symbol_has_its_hyphen_back():
    fact = e.ReferralStatusChanged("R", "in-progress", "target")

    assert STANDARD.decode(type(fact), STANDARD.encode(fact)).status == "in-progress"


# ---- frames


def test_a_value_without_a_registry_is_a_single_object_that_fastavro_names_the_same():
    fact = e.AdmissionCancelled(STAY)

    value = STANDARD.frame(fact)

    assert value == b"\xc3\x01" + bytes.fromhex(
        fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(contract_of("AdmissionCancelled").schema), "CRC-64-AVRO")
    ) + STANDARD.encode(fact)


def test_a_reader_takes_both_frames_whichever_it_writes():
    fact = e.AdmissionCancelled(STAY)
    with_registry = Codec()
    with_registry.use_registry({name: i for i, name in enumerate(RECORD_OF, start=70_000)})

    values = [STANDARD.frame(fact), with_registry.frame(fact)]

    assert values[1][:3] == b"\0\0\x01"
    assert [with_registry.read_frame(value) for value in values] == [fact, fact]


def test_an_effect_is_framed_as_a_fact_is():
    effect = x.EffectSuppressed("i", e.Millis(1), e.PersonKey("p1.x"), "c", "r", 1, "pcp/pool:x", "backfill", "urn:x")

    assert STANDARD.read_frame(effect_record(effect)) == effect


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "no-value"),
        (b"", "no-value"),
        (b"{}", "not-avro"),
        (b"\xc3", "not-avro"),
        (b"\xc3\x02" + b"\0" * 20, "not-avro"),
        (b"Obj\x01", "not-avro"),
        (b"\xc3\x01\0\0", "cut-short"),
        (b"\0\0\0\0", "cut-short"),
        (b"\xc3\x01" + b"\0" * 20, "unknown-schema"),
        (b"\0" * 20, "unknown-schema"),
    ],
)
def test_a_value_that_no_frame_begins_is_refused_with_its_reason(value, code):
    assert STANDARD.read_frame(value) == Refusal(code)


def test_every_reason_has_a_sentence():
    for code in REASONS:
        assert Refusal(code, "ce_id").sentence.endswith("(ce_id)")
        assert Refusal(code).sentence.endswith(".")


# ---- other versions of a schema


def revision(name, change):
    schema = json.loads(json.dumps(contract_of(name).schema))
    change(schema)
    return schema


def written_with(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(_plain(schema)), value)
    return out.getvalue()


def test_an_older_writer_is_read_with_the_current_defaults():
    older = revision("PatientDischarged", lambda schema: schema["fields"].__delitem__(slice(2, None)))
    codec = Codec()
    assert codec.add_schema(7, older)

    value = b"\0\0\0\0\x07" + written_with(older, {"encounter": {"facility": "GENERAL", "visit": "V1"}, "disposition": "home"})

    assert codec.read_frame(value) == e.PatientDischarged(STAY, "home")


def test_unknown_fields_of_a_newer_writer_are_skipped_and_its_new_code_is_unknown():
    def newer(schema):
        schema["fields"].insert(0, {"name": "ward", "type": ["null", "string"], "default": None})
        status = next(f for f in schema["fields"] if f["name"] == "status")
        status["type"]["symbols"].append("paused")

    schema, codec = revision("ReferralStatusChanged", newer), Codec()
    assert codec.add_schema(7, schema)
    value = {"ward": "4 West", "referral": "R", "status": "paused", "by": "target", "business_status": None, "reason": None}

    assert codec.read_frame(b"\0\0\0\0\x07" + written_with(schema, value)) == e.ReferralStatusChanged("R", "unknown", "target")


def test_another_version_is_read_as_strictly():
    older = revision("AdmissionCancelled", lambda schema: schema["fields"][1].update(type=["null", "string", "long"]))
    codec = Codec()
    assert codec.add_schema(7, older)
    good = b"\0\0\0\0\x07\x0eGENERAL\x04V1\x02\x02x"
    assert codec.read_frame(good) == e.AdmissionCancelled(STAY, "x")

    for place in range(5, len(good)):
        assert isinstance(codec.read_frame(good[:place]), Refusal)
        for byte in range(256):
            found = codec.read_frame(good[:place] + bytes([byte]) + good[place + 1 :])
            again = None if isinstance(found, Refusal) else written_with(older, plain(found))
            assert again is None or good[:5] + again == good[:place] + bytes([byte]) + good[place + 1 :]
    assert codec.read_frame(good + b"\0") == Refusal("left-over", "AdmissionCancelled")
    assert codec.read_frame(good[:-3] + b"\x03\x02x") == Refusal("not-canonical", "AdmissionCancelled")


def test_the_current_schema_under_a_registry_id_is_read_the_fast_way():
    codec = Codec()

    codec.add_schema(7, json.loads(json.dumps(contract_of("GoalUpdated").schema)))

    assert codec._readers[b"\0\0\0\0\x07"].decode is contract_of("GoalUpdated").decode


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "record", "name": "care.events.Nothing", "fields": []},
        {"type": "record", "name": "care.events.Nothing", "fields": [{"name": "n", "type": "null"}]},
        {"type": "fixed", "name": "care.events.None", "size": 0},
        {"type": "null"},
    ],
)
def test_a_schema_with_lists_of_zero_length_items_is_not_accepted(items):
    schema = revision(
        "CareTeamChanged", lambda s: s["fields"].append({"name": "x", "type": {"type": "array", "items": items}, "default": []})
    )

    with pytest.raises(UnfitSchemaError, match="no bytes"):
        resolving_reader(schema, contract_of("CareTeamChanged"))


def test_a_recursive_schema_is_not_accepted_because_fastavro_would_end_the_process():
    link = {"type": "record", "name": "care.events.Link", "fields": [{"name": "next", "type": ["null", "care.events.Link"]}]}
    schema = revision(
        "CareTeamChanged", lambda s: s["fields"].append({"name": "x", "type": {"type": "array", "items": link}, "default": []})
    )

    with pytest.raises(UnfitSchemaError, match="recursive record"):
        resolving_reader(schema, contract_of("CareTeamChanged"))


def test_a_schema_that_repeats_the_names_of_its_parts_is_accepted():
    part = {"type": "record", "name": "care.events.Extra", "fields": [{"name": "n", "type": "string"}]}
    parts = [{"name": "x", "type": ["null", part], "default": None}, {"name": "y", "type": ["null", "care.events.Extra"], "default": None}]
    schema = revision("CareTeamChanged", lambda s: s["fields"].extend(parts))
    codec = Codec()

    assert codec.add_schema(7, schema)
    assert codec.read_frame(b"\0\0\0\0\x07\0\0\0\0") == e.CareTeamChanged(())


@pytest.mark.parametrize(
    "schema", [None, 7, "string", [], {}, {"name": 7}, {"name": "care.events.GoalUpdated"}, {"name": "GoalUpdated", "type": []}]
)
def test_invalid_schema_is_not_accepted(schema):
    assert not Codec().add_schema(7, schema)


# ---- which schemas can be compiled


@pytest.mark.parametrize("kind", [{"type": "map", "values": "string"}, ["null", "string", "long"], ["string", "null"], "float"])
def test_schema_features_that_the_contract_does_not_use_are_not_compiled(kind):
    with pytest.raises(TypeError, match="contract"):
        compile_record({"type": "record", "name": "A", "namespace": "n", "fields": [{"name": "a", "type": kind}]}, {})
