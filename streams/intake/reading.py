"""The results of reading a message: events, or the reason why it was ignored or refused.

Owns these results, the notes about unusual messages, and the fixed tables of reasons. Because the reasons are fixed,
they can be counted and never contain patient data. Knows no message format; all formats use these results.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.contract.events import Event, Millis

REFUSED: Mapping[str, str] = {
    "not-hl7": "start each message with an MSH segment: MSH|^~\\&|…",
    "cut-short": "send the whole message: its frame shows that the end is missing",
    "encoding-characters-invalid": "send MSH-1 and MSH-2 as |^~\\&, or as other characters that all differ",
    "charset-unknown": "name the character set in MSH-18 with a code of HL7 table 0211, for example UNICODE UTF-8",
    "charset-wrong": "encode the message in the character set that MSH-18 names (UTF-8 if MSH-18 is empty)",
    "message-type-missing": "send MSH-9 as message code and trigger event, for example ADT^A01",
    "time-missing": "send the time of the message in MSH-7 as YYYYMMDDHHMMSS with an offset, for example 20260702150000-0400",
    "facility-missing": "send the sending facility in MSH-4, or set CARERELAY_FACILITY as the default",
    "segment-missing": "send the missing segment: this trigger event requires it",
    "field-missing": "send the missing field: this trigger event requires it",
    "identifier-missing": "send an identifier of the person (PID-3, in a merge also MRG-1) whose type is in the identifier preference list",
    "run-together": "start each message with its own MSH: a segment that may occur only once occurs twice here",
    "several-patients": "send a separate message for each patient",
    "batch-count-differs": "send the batch again: its number of messages differs from the count in its trailer",
    "batch-cut-short": "send the whole batch again: its trailer is missing",
    "not-json": "write each event as one JSON object on its own line",
    "form-wrong": "correct the named field so that the line matches the event's schema",
    "too-large": "send a smaller event: Kafka accepts records of up to one megabyte",
    "file-unreadable": "check that the file exists, is readable and is complete",
    "format-unknown": "give a file of HL7 v2 messages or of events as JSON lines; it may be gzipped",
}
"""The reasons for refusing a message. Each text tells the sender what to do."""

IGNORED: Mapping[str, str] = {
    "acknowledgement": "an acknowledgement contains nothing about a person",
    "message-type-not-mapped": "messages of this type contain no event for care coordination",
    "trigger-not-mapped": "this trigger event changes nothing for care coordination",
    "trigger-unknown": "this trigger event is not in HL7 table 0003",
    "pending-only": "this only announces a discharge or transfer, or cancels the announcement; a message about the event itself follows",
    "tracking-only": "this only tracks where the person is within the hospital",
    "account-or-visit-moved": "an account or visit moves to another identifier; the person and the encounter stay the same",
    "identifier-changed": "an identifier of the person changes; to move the person's history, send a merge (A40)",
    "status-query": "this asks about a referral and changes nothing",
    "nothing-changed": "the message contains nothing that an event can hold",
    "format-unknown": "a file in the folder that contains no messages",
    "merged-with-itself": "both identifiers of the merge already belong to the same person",
}
"""The reasons why a readable message produces no event."""

NOTES: Mapping[str, str] = {
    "trigger-contradicts-event": "EVN-1 and MSH-9 name different trigger events; MSH-9 was used",
    "trigger-from-event": "MSH-9 names no trigger event; EVN-1 was used",
    "class-contradicts-trigger": "PV1-2 contradicts the trigger event; the trigger event was used",
    "class-unknown": "PV1-2 is not in HL7 table 0004; it was kept unchanged",
    "disposition-unknown": "PV1-36 is missing or not a known code; the disposition is unknown and counts as a discharge to the community",
    "time-unreadable": "a time could not be read; the next field that gives the time was used",
    "time-without-hours": "a time has only a date; the start of the day was used",
    "start-missing": "the appointment has no readable start time",
    "arrival-missing": "MSH-7 is missing or not readable; the event's own time was used as its arrival",
    "facility-assumed": "MSH-4 is empty; another field or the default facility was used",
    "identifier-fallback": "PID-3 has no usable identifier; PID-2 or PID-4 was used",
    "merge-authority-assumed": "MRG-1 names no assigning authority; that of the surviving person was used",
    "practitioner-without-id": "a practitioner has a name but no id and therefore cannot be notified",
    "diagnosis-without-code": "a diagnosis has only text and no code",
    "death-contradicts": "PID-29 gives a time of death but PID-30 says that the person is alive; both were left out",
    "control-id-reused": "this control id (MSH-10) was used before with different content; both messages were accepted",
    "control-id-missing": "MSH-10 is empty; repeats are recognised by content alone",
    "not-production": "MSH-11 marks the message as training or debugging; it was accepted",
    "segment-repeated": "a segment that may occur only once is repeated; the first one was used",
    "end-missing": "the next message starts within the last line; the last field may be cut short",
    "line-joined": "a segment was split across lines; the parts were joined",
    "line-skipped": "a line that is not a segment was skipped",
    "encoding-characters-mended": "MSH-2 was damaged in a known way; ^~\\& was used",
    "service-missing": "the referral names no service",
    "priority-unknown": "RF1-2 is not in HL7 table 0280; the priority is routine",
    "person-removal-not-applied": "A29 asks to delete the person; the person was kept, and only a reported death was used",
}
"""What was unusual about an accepted message; counted by reason."""

SHOWN_NOTES = frozenset(
    {
        "control-id-reused",
        "end-missing",
        "not-production",
        "trigger-contradicts-event",
        "death-contradicts",
        "time-unreadable",
        "segment-repeated",
        "line-skipped",
        "person-removal-not-applied",
    }
)
"""The notes about content that was dropped or reinterpreted. A replay shows each of them as a line."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A readable message that produces no event. `reason` is a key of IGNORED."""

    reason: str
    source: str
    id: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A message, or a part of one, that was not accepted.

    `reason` is a key of REFUSED. `segment` and `field` give the position of the error: `PV1` and `PV1-2` in HL7, a path
    in JSON, empty for the whole message. `detail` adds to the reason's text. It never contains content of an HL7 message.
    """

    reason: str
    segment: str
    field: str
    source: str
    id: str
    detail: str = ""
    trigger: str = ""

    @property
    def remedy(self) -> str:
        """What the sender must do so that the message is accepted."""
        return REFUSED[self.reason] + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Note:
    """A remark about an accepted message. `reason` is a key of NOTES."""

    reason: str
    segment: str = ""
    field: str = ""


Item = Event | Ignored | Refused


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of reading one message: at least one item.

    `arrival` is None if the message has no readable time. `control` identifies the message by sending application,
    facility and control id. `digest` is a hash of the content; it distinguishes a repeated message from a reused control
    id. `raw` is the content of an HL7 message with a refused item, which goes to the quarantine topic.
    """

    items: tuple[Item, ...]
    notes: tuple[Note, ...] = ()
    arrival: Millis | None = None
    control: tuple[str, str, str] | None = None
    digest: bytes = b""
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One item of one message, with its arrival and its position (`path:line`).

    The first item of a message has its notes. The first refused item of an HL7 message has the content (`raw`). An item
    without a time gets the latest earlier arrival in its file.
    """

    item: Item
    arrival: Millis
    where: str
    notes: tuple[Note, ...] = ()
    raw: bytes = b""
