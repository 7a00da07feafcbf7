"""Full, transitive compatibility with every released revision, in both directions."""

import copy
import json

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import parse
from tables import each

from schemas.build import EVENTS, RELEASED
from streams.avro.schemas import RECORD_OF

CURRENT = {path.name.split(".")[0]: json.loads(path.read_text()) for path in EVENTS.glob("*.avsc")}
RELEASES = sorted(RELEASED.glob("*.avsc"))


def breaks(reader, writer):
    """Return why *reader* cannot read what *writer* wrote; empty if it can."""
    found = ReaderWriterCompatibilityChecker().get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    return [] if found.compatibility is SchemaCompatibilityType.compatible else sorted(found.messages)


def broken(new, old):
    return breaks(new, old) + breaks(old, new)


@each("path", RELEASES, ids=lambda path: path.name)
def test_the_current_contract_reads_every_release_and_every_release_reads_it(path):
    name = path.name.split(".")[0]

    assert name in CURRENT, "a released record must not be removed"
    assert broken(CURRENT[name], json.loads(path.read_text())) == []


def test_every_record_has_been_released():
    assert {path.name.split(".")[0] for path in RELEASES} >= set(RECORD_OF)


def changed(name, change):
    schema = copy.deepcopy(CURRENT[name])
    change(schema)
    return schema


def field(schema, name):
    return next(f for f in schema["fields"] if f["name"] == name)


def add_field_without_default(schema):
    schema["fields"].append({"name": "ward", "type": "string"})


def remove_field_without_default(schema):
    schema["fields"].remove(field(schema, "referral"))


def change_type(schema):
    field(schema, "referral")["type"] = "long"


def change_inside_a_part(schema):
    field(schema, "target")["type"] = [
        "null",
        {"type": "record", "name": "Party", "namespace": "care.events", "fields": [{"name": "who", "type": "string"}]},
    ]


def rename_field(schema):
    field(schema, "referral")["name"] = "referral_id"


def rename_record(schema):
    schema["name"] = "ReferralMoved"


def make_optional_field_required(schema):
    field(schema, "reason").pop("default")
    field(schema, "reason")["type"] = "string"


def remove_symbol_without_default(schema):
    enum = field(schema, "status")["type"]
    enum["symbols"].remove("on_hold")
    enum.pop("default")


def add_symbol_without_default(schema):
    enum = field(schema, "status")["type"]
    enum["symbols"].append("paused")
    enum.pop("default")


@pytest.mark.parametrize(
    "change",
    [
        add_field_without_default,
        remove_field_without_default,
        change_type,
        rename_field,
        rename_record,
        make_optional_field_required,
        remove_symbol_without_default,
    ],
)
def test_a_change_that_breaks_readers_or_writers_is_found(change):
    assert broken(changed("ReferralStatusChanged", change), CURRENT["ReferralStatusChanged"]) != []


def test_a_change_inside_a_part_that_breaks_is_found():
    assert broken(changed("ReferralChanged", change_inside_a_part), CURRENT["ReferralChanged"]) != []


def test_a_symbol_that_readers_without_a_default_do_not_know_is_found():
    old = changed("ReferralStatusChanged", lambda schema: field(schema, "status")["type"].pop("default"))
    new = changed("ReferralStatusChanged", add_symbol_without_default)

    assert broken(new, old) != []


def test_an_optional_field_with_a_default_breaks_nobody():
    new = changed(
        "ReferralStatusChanged", lambda schema: schema["fields"].append({"name": "ward", "type": ["null", "string"], "default": None})
    )

    assert broken(new, CURRENT["ReferralStatusChanged"]) == []


def test_a_new_symbol_breaks_nobody_because_every_enum_has_a_default():
    new = changed("ReferralStatusChanged", lambda schema: field(schema, "status")["type"]["symbols"].append("paused"))

    assert broken(new, CURRENT["ReferralStatusChanged"]) == []
