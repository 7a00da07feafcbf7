"""Refusals: why a record from outside was not taken. A value, never raised, since a sender's error is no error of ours.

Owns the table of reasons, one sentence each. A refusal never quotes what it refuses: `detail` names a header, a type or
a topic of ours, and nothing that came from the record.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

REASONS: Mapping[str, str] = {
    "no-value": "The record has no value; a tombstone says nothing on an event topic.",
    "no-key": "The record has no key, so nobody knows whom it is about.",
    "key-bad": "The key is no person key: printable ASCII without spaces, at most 128 characters.",
    "header-missing": "A CloudEvents attribute that every event must have is not among the headers.",
    "header-bad": "A CloudEvents attribute is there twice, or its value is not what the attribute may hold.",
    "time-bad": "ce_time is not an RFC 3339 instant with an offset.",
    "unknown-type": "ce_type is not the name of an event.",
    "wrong-topic": "Events of that type do not belong on that topic.",
    "not-avro": "The value begins with neither the single-object marker nor a schema registry's frame.",
    "unknown-schema": "The value names a schema that is neither ours nor known to the registry.",
    "type-mismatch": "ce_type names one type and the value holds another.",
    "cut-short": "The value ends before the record does.",
    "left-over": "Bytes follow the end of the record.",
    "not-canonical": "The value is not in the one form in which its record is written: it would not encode back to itself.",
    "out-of-range": "An instant lies outside the years 1 to 9999, or a number is not finite.",
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
