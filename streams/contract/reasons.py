"""Refusals: why a record from outside was not taken. A value, never raised, since a sender's error is no error of ours.

Owns the table of reasons, one sentence each. A refusal never quotes what it refuses: `detail` names a header, a type or
a topic of ours, and nothing that came from the record.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

REASONS: Mapping[str, str] = {
    "no-value": "The record has no value. Event topics do not take tombstones; send the event as the value.",
    "no-key": "The record has no key. Send the person key, so that it is known whom the event is about.",
    "key-bad": "The key is not a person key. A person key is printable ASCII without spaces, at most 128 characters.",
    "header-missing": "A required CloudEvents attribute is missing from the headers. Send it.",
    "header-bad": "A CloudEvents header is repeated or its value is not allowed. Send it once, with a valid value.",
    "time-bad": "ce_time must be an RFC 3339 timestamp with an offset, for example 2026-07-02T15:00:00-04:00.",
    "unknown-type": "ce_type must be the name of an event in schemas/avro/events.",
    "wrong-topic": "Events of this type belong on another topic.",
    "not-avro": "The value is not Avro: it must start with the single-object marker (C3 01) or a schema registry's magic byte (00).",
    "unknown-schema": "The value's schema is unknown here and to the schema registry. Register it, or use a schema in schemas/avro/events.",
    "type-mismatch": "ce_type and the schema of the value name different events.",
    "cut-short": "The value is cut short: it ends in the middle of the record.",
    "left-over": "The value has extra bytes after the end of the record.",
    "not-canonical": "The value is not in canonical form: encoding what was read would give other bytes.",
    "out-of-range": "A timestamp is outside the years 1 to 9999, or a number is not finite.",
}
"""What each code means, for the dead letters' reader."""


class Refusal(msgspec.Struct, frozen=True):
    """A record that is not taken: `code` is a key of REASONS, `detail` names the header, type or topic it is about."""

    code: str
    detail: str = ""

    @property
    def sentence(self) -> str:
        """Say it in words."""
        return REASONS[self.code] + (f" ({self.detail})" if self.detail else "")
