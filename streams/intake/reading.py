"""What a door makes of a message: an event, a reasoned ignore, or a reasoned refusal. Never nothing.

Owns those three answers, the notes beside them, and the fixed tables of reasons, so that every reason can be counted
and none can carry what a patient's message said. Knows no format: HL7, lines and files all answer with these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.contract.events import Event, Millis

REFUSED: Mapping[str, str] = {
    "not-hl7": "begin each message with an MSH segment: MSH|^~\\&|…",
    "cut-short": "send the whole message; the framing says that more was meant to come",
    "encoding-characters-invalid": "send MSH-1 and MSH-2 as |^~\\&, or four other characters that differ",
    "charset-unknown": "name the character set in MSH-18 with a code of HL7 table 0211, such as UNICODE UTF-8",
    "charset-wrong": "send the bytes in the character set that MSH-18 names (UTF-8 where it is empty)",
    "message-type-missing": "send MSH-9 as message code and trigger event, such as ADT^A01",
    "time-missing": "send MSH-7 as YYYYMMDDHHMMSS with an offset",
    "facility-missing": "send the sending facility in MSH-4, or set a default facility for this feed",
    "segment-missing": "send the segment that this trigger needs",
    "field-missing": "send the field that this trigger needs",
    "identifier-missing": "send an identifier of the person in PID-3 that the preference list accepts",
    "run-together": "send each message with its own MSH; segments that stand once stand twice here",
    "several-patients": "send one message for each patient",
    "batch-count-differs": "send the batch again: it holds another number of messages than its trailer says",
    "batch-cut-short": "send the batch again with its trailer",
    "not-json": "write one JSON object a line",
    "form-wrong": "write the line as the description of the event says",
    "too-large": "send less at once; Kafka takes records of a megabyte",
    "file-unreadable": "check the path, and that the file may be read and is whole",
    "format-unknown": "give HL7 v2 messages, or events as JSON lines, plain or gzipped",
}
"""Why a message was refused, and how its sender mends it."""

IGNORED: Mapping[str, str] = {
    "acknowledgement": "an acknowledgement reports nothing about a person",
    "message-type-not-mapped": "messages of this kind carry no event that care coordination acts on",
    "trigger-not-mapped": "this trigger changes nothing that care coordination acts on",
    "trigger-unknown": "the trigger is in no version of HL7 table 0003 that is known here",
    "pending-only": "an announcement of a discharge or transfer, or its cancellation: the real one will come",
    "tracking-only": "the person is on the way within the hospital",
    "account-or-visit-moved": "accounts and visits move between identifiers; the person and the stay go on",
    "identifier-changed": "an identifier of the person changes; a merge (A40) moves what is known under the former one",
    "status-query": "a question about a referral, not a change",
    "nothing-changed": "the message says nothing that an event can carry",
    "format-unknown": "a file in a folder that holds no messages",
    "merged-with-itself": "both sides of the merge are one person already",
}
"""Why a message that could be read makes no event."""

NOTES: Mapping[str, str] = {
    "trigger-contradicts-event": "EVN-1 names another trigger than MSH-9; MSH-9 was taken",
    "trigger-from-event": "MSH-9 names no trigger; EVN-1 was taken",
    "class-contradicts-trigger": "PV1-2 contradicts the trigger; the trigger was taken",
    "class-unknown": "PV1-2 is not in table 0004; it was kept as it is",
    "disposition-unknown": "PV1-36 is missing or in no table; taken as unknown, which counts as discharged to the community",
    "time-unreadable": "a time could not be read; the next source of the time was taken",
    "time-without-hours": "only a date was given; its first instant was taken",
    "start-missing": "the appointment has no start that could be read",
    "arrival-missing": "MSH-7 is missing or can't be read; the time of the event stands for the arrival",
    "facility-assumed": "MSH-4 is empty; another field or the setting was taken",
    "identifier-fallback": "PID-3 holds no usable identifier; PID-2 or PID-4 was taken",
    "merge-authority-assumed": "MRG-1 names no authority; the survivor's was taken",
    "practitioner-without-id": "a practitioner has a name but no id, and can't be routed to",
    "diagnosis-without-code": "a diagnosis is text only",
    "death-contradicts": "PID-29 holds a time of death while PID-30 says alive; neither was taken",
    "control-id-reused": "this control id was used before for another content; both are taken",
    "control-id-missing": "MSH-10 is empty; the content alone is the identity",
    "not-production": "MSH-11 marks the message as training or debugging",
    "segment-repeated": "a segment that stands once was repeated; the first was taken",
    "end-missing": "the next message begins within the last line; its last field may have been cut",
    "line-joined": "a segment was broken across lines and was joined",
    "line-skipped": "a line that is no segment was skipped",
    "encoding-characters-mended": "MSH-2 was damaged in a known way; ^~\\& was taken",
    "service-missing": "the referral names no service",
    "priority-unknown": "RF1-2 is not in table 0280; taken as routine",
    "person-removal-not-applied": "A29 asks to remove a person; only what it says about the person was taken",
}
"""What was odd about a message that was taken all the same; counted by reason."""

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
