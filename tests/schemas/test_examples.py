"""The examples beside the schemas: each is read, written as Avro, and read back."""

import json
from pathlib import Path

import msgspec
from tables import each

import schemas
from streams.avro.codec import STANDARD
from streams.avro.schemas import RECORD_OF
from streams.contract.json_form import PUBLISHED, fact_from_json, fact_to_json, record_from_json
from streams.contract.person_key import person_key

EXAMPLES = sorted((Path(schemas.__file__).parent / "avro" / "examples").glob("*/*.json"))


def key_of(authority, identifier):
    return person_key(b"a secret", authority, identifier)


def read(path):
    return record_from_json(RECORD_OF[path.parent.name], json.loads(path.read_text()), key_of)


def test_every_event_has_a_minimal_and_a_full_example():
    for name in RECORD_OF:
        assert {"minimal", "full"} <= {path.stem for path in EXAMPLES if path.parent.name == name}


def test_no_example_is_of_an_event_that_does_not_exist():
    assert {path.parent.name for path in EXAMPLES} == set(RECORD_OF)


@each("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_is_written_in_avro_and_read_back_the_same(path):
    record = read(path)

    assert STANDARD.decode(type(record), STANDARD.encode(record)) == record
    assert STANDARD.read_frame(STANDARD.frame(record)) == record


@each("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_in_its_json_form_is_read_back_the_same(path):
    record = read(path)
    said = json.loads(json.dumps(fact_to_json(record)))

    assert record_from_json(type(record), said) == record
    if type(record).__name__ in PUBLISHED:
        assert fact_from_json(path.parent.name, said) == record


@each("name", RECORD_OF)
def test_the_full_example_fills_every_field_somewhere(name):
    filled = set()
    for path in EXAMPLES:
        if path.parent.name == name:
            filled |= set(json.loads(path.read_text()))

    assert filled == {field.encode_name for field in msgspec.structs.fields(RECORD_OF[name])}
