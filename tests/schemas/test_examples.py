"""The examples beside the schemas: each is read, written in Avro, and compared with what fastavro makes of it."""

import io
import json
from pathlib import Path

import fastavro
import msgspec
import pytest

import schemas
from streams.codec import STANDARD
from streams.codes import CODES
from streams.contract import RECORD_OF, contract_of
from streams.evolution import _plain
from streams.jsonform import PUBLISHED, fact_from_json, fact_to_json, record_from_json
from streams.person import person_key

EXAMPLES = sorted((Path(schemas.__file__).parent / "avro" / "examples").glob("*/*.json"))


def key_of(authority, identifier):
    return person_key(b"a secret", authority, identifier)


def read(path):
    return record_from_json(RECORD_OF[path.parent.name], json.loads(path.read_text()), key_of)


def plain(value):
    """Give a record as fastavro wants it: names as in the schema, enums as symbols."""
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


def by_fastavro(record):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(_plain(contract_of(type(record).__name__).schema)), plain(record), strict=True)
    return out.getvalue()


def test_every_event_has_a_minimal_and_a_full_example():
    for name in RECORD_OF:
        assert {"minimal", "full"} <= {path.stem for path in EXAMPLES if path.parent.name == name}


def test_no_example_is_of_an_event_that_does_not_exist():
    assert {path.parent.name for path in EXAMPLES} == set(RECORD_OF)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_is_written_as_fastavro_writes_it_and_read_back_the_same(path):
    record = read(path)

    payload = STANDARD.encode(record)

    assert payload == by_fastavro(record)
    assert STANDARD.decode(type(record), payload) == record
    assert STANDARD.read_frame(STANDARD.frame(record)) == record


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_example_in_its_json_form_is_read_back_the_same(path):
    record = read(path)
    said = json.loads(json.dumps(fact_to_json(record)))

    assert record_from_json(type(record), said) == record
    if type(record).__name__ in PUBLISHED:
        assert fact_from_json(path.parent.name, said) == record


@pytest.mark.parametrize("name", RECORD_OF)
def test_the_full_example_fills_every_field_somewhere(name):
    filled = set()
    for path in EXAMPLES:
        if path.parent.name == name:
            filled |= set(json.loads(path.read_text()))

    assert filled == {field.encode_name for field in msgspec.structs.fields(RECORD_OF[name])}
