"""Refusals: the reasons why a record from outside was not accepted.

Owns the table of reasons. A refusal is a value and is never raised, because a sender's error is not an error of
CareRelay. It never quotes the record: `detail` names only a header, a type or a topic of the contract.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

REASONS: Mapping[str, str] = {
    "no-value": "The record has no value. Event topics do not accept tombstones; send the event as the value.",
    "no-key": "The record has no key. Send the person key as the key of the record.",
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
    "not-canonical": "The value is not in canonical form: encoding its content again gives different bytes.",
    "out-of-range": "A timestamp is outside the years 1 to 9999, or a number is not finite.",
}
"""The meaning of each code, for readers of the dead-letter topic."""


class Refusal(msgspec.Struct, frozen=True):
    """A record that was not accepted. `code` is a key of REASONS; `detail` names a header, type or topic, or is empty."""

    code: str
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The reason as a sentence, with the detail in parentheses."""
        return REASONS[self.code] + (f" ({self.detail})" if self.detail else "")
