"""What intake makes of a message: an event, or a reason why it was ignored or refused. Never nothing.

Owns those three answers, the notes beside them, and the fixed tables of reasons, so that every reason can be counted
and none can carry what a patient's message said. Knows no format: HL7, lines and files all answer with these.
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
"""Why a message was refused, as what its sender should do."""

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
"""Why a message that could be read makes no event."""

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
    "person-removal-not-applied": "A29 asks to delete the person; the person was kept and only the details were updated",
}
"""What was unusual about a message that was accepted; counted by reason."""

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
"""The notes where something said was dropped, or taken for something else: each is a line of a replay."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that was read and makes no event. `reason` is a key of IGNORED."""

    reason: str
    source: str
    id: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A message, or a part of one, that could not be taken.

    `reason` is a key of REFUSED. `segment` and `field` say where (`PV1`, `PV1-2`; a JSON path for lines; empty where
    the whole is meant). `detail` adds what is known of the place and never holds content of the message.
    """

    reason: str
    segment: str
    field: str
    source: str
    id: str
    detail: str = ""
    trigger: str = ""

    @property
    def how_to_mend(self) -> str:
        """Say what the sender does so that the message is taken."""
        return REFUSED[self.reason] + (f" ({self.detail})" if self.detail else "")


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd in a message that was taken all the same. `reason` is a key of NOTES."""

    reason: str
    segment: str = ""
    field: str = ""


Item = Event | Ignored | Refused


@dataclass(frozen=True, slots=True)
class Reading:
    """All that one message says: at least one item.

    `arrival` is None where the message names no time that could be read. `control` is what the sender calls the
    message (application, facility, control id), `digest` the content, for telling a repeat from a reused control id.
    `raw` is the content of an HL7 message of which something was refused: it can be looked at and sent again.
    """

    items: tuple[Item, ...]
    notes: tuple[Note, ...] = ()
    arrival: Millis | None = None
    control: tuple[str, str, str] | None = None
    digest: bytes = b""
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One item of one message, as it came: when and from where (`path:line`).

    The notes of a message stand on its first item, what an HL7 message said (`raw`) on its first refused one. `arrival`
    of an item without a time is the latest arrival before it in its file.
    """

    item: Item
    arrival: Millis
    where: str
    notes: tuple[Note, ...] = ()
    raw: bytes = b""
