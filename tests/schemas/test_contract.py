"""The Avro contract: its files, their records, and the description of every field."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from avro.schema import parse as avro_parse
from fastavro.schema import to_parsing_canonical_form
from tables import each

import schemas
from schemas.build import EVENTS, RELEASED, contract_files, schema_of
from streams.avro.compiler import compile_record
from streams.avro.schemas import RECORD_OF, contract_of, fingerprint_of, released
from streams.contract.codes import CODES, UNKNOWN

ROOT = Path(schemas.__file__).parent / "avro"
FILES = sorted(EVENTS.glob("*.avsc"))


def parts(schema):
    """Yield every record and enum of a schema."""
    if isinstance(schema, list):
        for part in schema:
            yield from parts(part)
    elif isinstance(schema, dict):
        if schema.get("type") in ("record", "enum"):
            yield schema
        for field in schema.get("fields", ()):
            yield from parts(field["type"])
        if schema.get("type") == "array":
            yield from parts(schema["items"])


def of_type(node, kind):
    return node == kind or (isinstance(node, dict) and node.get("type") == kind)


def test_every_fact_and_effect_of_a_topic_has_one_file_and_no_file_is_left_over():
    assert sorted(path.name.split(".")[0] for path in FILES) == sorted(RECORD_OF)


def test_the_files_say_what_the_records_and_descriptions_say():
    # If a record has changed: describe the field in schemas/descriptions.yaml and run `python -m schemas.build`.
    assert {path.name: path.read_text() for path in FILES} == contract_files()


def test_every_current_schema_is_released():
    # Fields may be added until the release. `python -m schemas.build --release` writes the next revision.
    missing = [path.name for path in FILES if not (RELEASED / path.name).exists()]
    changed = [path.name for path in FILES if (RELEASED / path.name).exists() and (RELEASED / path.name).read_text() != path.read_text()]

    assert changed == [], "a released file is never edited"
    assert missing == []


@each("path", FILES, ids=lambda path: path.name)
def test_each_file_stands_alone_and_names_its_record_and_revision(path):
    schema = json.loads(path.read_text())

    assert re.fullmatch(rf"{schema['name']}\.v[1-9]\d*\.avsc", path.name)
    assert schema["namespace"] == "care.events"
    avro_parse(path.read_text())


@each("path", FILES, ids=lambda path: path.name)
def test_every_record_has_a_description_and_every_field_one_with_its_unit(path):
    for part in parts(json.loads(path.read_text())):
        assert part["doc"].endswith(".")
        for field in part.get("fields", ()):
            assert re.fullmatch(r"\S.*[.!?] Unit: \S.*\.", field["doc"]), f"{part['name']}.{field['name']}"


@each("path", FILES, ids=lambda path: path.name)
def test_instants_are_timestamp_millis_optional_is_null_first_and_lists_may_be_left_out(path):
    for part in parts(json.loads(path.read_text())):
        for field in part.get("fields", ()):
            kind = field["type"]
            if "milliseconds" in field["doc"]:
                inner = kind[1] if isinstance(kind, list) else kind
                assert inner == {"type": "long", "logicalType": "timestamp-millis"}
            if isinstance(kind, list):
                assert kind[0] == "null"
                assert len(kind) == 2
            if of_type(kind, "array") and "default" in field:
                assert field["default"] == []


@each("path", FILES, ids=lambda path: path.name)
def test_every_enum_has_a_default_and_says_the_code_of_each_symbol(path):
    for part in parts(json.loads(path.read_text())):
        if part["type"] == "enum":
            assert part["default"] == part["symbols"][0] == UNKNOWN
            assert [code.replace("-", "_") for code in part["codes"]] == part["symbols"]
            assert len(set(part["codes"])) == len(part["codes"])


def test_every_code_set_belongs_to_a_field():
    for record, field in CODES:
        assert field in RECORD_OF[record].__struct_fields__


def test_a_field_that_is_not_described_is_named():
    class PatientAdmitted(msgspec.Struct):
        shoe_size: int = 0

    with pytest.raises(KeyError, match=r"PatientAdmitted\.shoe_size"):
        schema_of(PatientAdmitted)


def test_a_field_without_its_unit_is_named():
    class PatientDischarged(msgspec.Struct):
        deceased: str = ""

    with pytest.raises(KeyError, match=r"unit of PatientDischarged\.deceased"):
        schema_of(PatientDischarged)


def test_a_schema_that_lacks_a_field_of_its_record_is_not_compiled():
    schema = json.loads(json.dumps(contract_of("GoalUpdated").schema))
    del schema["fields"][3]

    with pytest.raises(TypeError, match="GoalUpdated"):
        compile_record(schema, RECORD_OF)


def test_the_fingerprint_is_that_of_the_specification():
    # The Avro specification's own test vectors (share/test/data/schema-tests.txt), as signed 64-bit numbers.
    assert fingerprint_of("int") == (8247732601305521295).to_bytes(8, "little", signed=True)
    assert fingerprint_of({"type": "string"}) == (-8142146995180207161).to_bytes(8, "little", signed=True)


@each("name", RECORD_OF)
def test_the_canonical_form_and_its_fingerprint_are_those_of_the_reference_library(name):
    contract = contract_of(name)
    # The reference library for Python leaves {"type": "long"} where the specification's PRIMITIVES rule wants "long".
    instant = json.dumps({"type": "long", "logicalType": "timestamp-millis"})
    reference = avro_parse(json.dumps(contract.schema).replace(instant, '"long"'))

    assert to_parsing_canonical_form(contract.schema) == reference.canonical_form
    assert contract.fingerprint == bytes(reference.fingerprint("CRC-64-AVRO"))


def test_fingerprints_are_all_different():
    assert len({contract_of(name).fingerprint for name in RECORD_OF}) == len(RECORD_OF)


def test_the_current_revision_is_not_among_the_older_ones():
    assert all(contract_of(name).schema != schema for name, schema in released())
