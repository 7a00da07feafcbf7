"""Events as JSON lines: one JSON object per line, the input of `play` and `replay`.

Owns the envelope of a line (`type id source time recorded person data backfill`) and its errors.
`streams.contract.json_form` reads the fact under `data`. Blank lines and lines that start with `#` are skipped, so that
a file can have comments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from streams.contract.cloudevents import ATTRIBUTE_BYTES_MAX, attribute_fits
from streams.contract.events import Event, Millis, PersonKey, PersonRef
from streams.contract.instants import parse_instant
from streams.contract.json_form import EXAMPLE_INSTANT, PUBLISHED, FormError, fact_from_json, record_from_json
from streams.contract.person_key import person_key
from streams.intake.reading import Reading, Refused
from streams.intake.settings import IntakeSettings

_REQUIRED = ("type", "id", "source", "time", "person", "data")
_KNOWN = frozenset({*_REQUIRED, "recorded", "backfill"})
# A line that was copied from a topic has these CloudEvents and trace attributes. An event does not need them.
_SKIPPED = frozenset({"specversion", "datacontenttype", "dataschema", "subject", "partitionkey", "traceparent", "tracestate"})


def read_line(line: bytes, settings: IntakeSettings) -> Reading | None:
    """Read one line. Return None for a blank line or a comment.

    A line that is not a valid event gives a Refused with the path of the invalid field.
    """
    bare = line.strip(b" \t\r\n\x00\x1a").removeprefix(b"\xef\xbb\xbf")
    if not bare or bare.startswith(b"#"):
        return None
    digest = hashlib.sha256(bare).digest()
    own_id = f"sha256:{digest.hex()[:32]}"
    try:
        found = msgspec.json.decode(bare)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Reading((Refused("not-json", "", "", "", own_id),), digest=digest)
    if not isinstance(found, dict):
        return Reading((Refused("not-json", "", "", "", own_id, "the line is JSON but not a JSON object"),), digest=digest)
    try:
        event = _event(found, settings)
    except FormError as error:
        kind = _text(found, "type")
        refused = Refused(
            "form-wrong",
            "",
            error.path,
            _text(found, "source"),
            _text(found, "id") or own_id,
            error.detail,
            kind if kind in PUBLISHED else "",
        )
        return Reading((refused,), arrival=_arrival(found), digest=digest)
    return Reading((event,), arrival=event.arrival, digest=digest)


def _event(found: Mapping[str, object], settings: IntakeSettings) -> Event:
    for name in _REQUIRED:
        if found.get(name) is None:
            raise FormError(name, "missing")
    for name in found:
        if name not in _KNOWN and name not in _SKIPPED:
            raise FormError(ascii(name)[1:-1][:40], f"is not a field of an event line; the fields are {', '.join(sorted(_KNOWN))}")

    def key_of(authority: str, identifier: str) -> PersonKey:
        return person_key(settings.secret, authority, identifier)

    time = _instant(found, "time")
    backfill = found.get("backfill")
    if backfill is not None and not isinstance(backfill, bool):
        raise FormError("backfill", "must be true or false")
    person = record_from_json(PersonRef, found["person"], key_of, "person")
    if not person.key.strip():
        raise FormError("person.key", "must not be blank")
    kind = _required_text(found, "type")
    return Event(
        id=_attribute(found, "id"),
        source=_attribute(found, "source"),
        time=time,
        arrival=time if found.get("recorded") is None else _instant(found, "recorded"),
        person=person.key,
        data=fact_from_json(kind, found["data"], key_of),
        backfill=bool(backfill),
    )


def _required_text(found: Mapping[str, object], name: str) -> str:
    value = found[name]
    if not isinstance(value, str) or not value.strip():
        raise FormError(name, "must be text that is not blank")
    return value


def _attribute(found: Mapping[str, object], name: str) -> str:
    """Return an id or source. Raises FormError if consumers would refuse it."""
    value = _required_text(found, name)
    if not attribute_fits(value):
        raise FormError(name, f"must be printable text of at most {ATTRIBUTE_BYTES_MAX} bytes")
    return value


def _instant(found: Mapping[str, object], name: str) -> Millis:
    value = found[name]
    if isinstance(value, str):
        try:
            return parse_instant(value)
        except ValueError as error:
            raise FormError(name, f"is {error}; write for example {EXAMPLE_INSTANT}") from None
    raise FormError(name, f"must be a timestamp as text; for example {EXAMPLE_INSTANT}")


def _text(found: Mapping[str, object], name: str) -> str:
    """Return a text field of a refused line, or an empty string if it is not fit to be displayed."""
    value = found.get(name)
    return value if isinstance(value, str) and attribute_fits(value) else ""


def _arrival(found: Mapping[str, object]) -> Millis | None:
    """Return the arrival of a refused line, so that it keeps its position in the order of arrival."""
    for name in ("recorded", "time"):
        value = found.get(name)
        if isinstance(value, str):
            try:
                return parse_instant(value)
            except ValueError:
                continue
    return None
