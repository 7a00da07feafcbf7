"""HL7 messages for tests, with fields given by number, so that a test names only the fields that it is about."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from streams.contract.events import EncounterRef, Event
from streams.intake.hl7.framing import split_messages
from streams.intake.hl7.mapping import read_message
from streams.intake.reading import Reading
from streams.intake.settings import IntakeSettings

SAMPLES = Path(__file__).parent / "hl7_samples"
SECRET = b"for tests only, 32 bytes or more"
SETTINGS = IntakeSettings(secret=SECRET, zone_of=lambda _: "America/New_York")
STAY = EncounterRef("GENERAL", "V77001")


def millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.hl7").read_bytes()


def segment(name: str, **fields: str) -> str:
    """Build a segment: `segment("PV1", f2="I", f19="V1")`."""
    numbers = {int(key[1:]): value for key, value in fields.items()}
    return "|".join([name, *(numbers.get(i, "") for i in range(1, max(numbers, default=0) + 1))])


def header(trigger: str = "ADT^A01", **fields: str) -> str:
    """Build an MSH of the hospital GENERAL, sent on 2 July 2026 at 15:00:04 New York time."""
    given = {"f3": "ADT", "f4": "GENERAL", "f7": "20260702150004-0400", "f9": trigger, "f10": "4711", "f11": "P", "f12": "2.5.1"} | fields
    return "MSH|^~\\&|" + segment("", **{f"f{int(k[1:]) - 2}": v for k, v in given.items()})[1:]


def pid(**fields: str) -> str:
    return segment("PID", **({"f3": "77001^^^GENERAL^MR"} | fields))


def pv1(**fields: str) -> str:
    return segment("PV1", **({"f2": "I", "f19": "V77001"} | fields))


def evn(**fields: str) -> str:
    return segment("EVN", **({"f2": "20260702150000-0400"} | fields))


def message(*segments: str) -> bytes:
    return ("\r".join(segments) + "\r").encode()


def adt(trigger: str, *more: str, visit: str | None = None, person: str | None = None, event: str | None = None, **msh: str) -> bytes:
    """Build an ADT message: MSH, EVN, PID, PV1 and *more*."""
    parts = (header(f"ADT^{trigger}", **msh), evn() if event is None else event, person or pid(), pv1() if visit is None else visit)
    return message(*(part for part in parts if part), *more)


def read(content: bytes, settings: IntakeSettings = SETTINGS) -> Reading:
    """Read exactly one message."""
    (raw,) = split_messages([content])
    return read_message(raw, settings)


def facts(content: bytes, settings: IntakeSettings = SETTINGS) -> list[object]:
    """Return the facts of a message, or its refusals and ignores."""
    return [item.data if isinstance(item, Event) else item for item in read(content, settings).items]


def fact(content: bytes, settings: IntakeSettings = SETTINGS) -> object:
    (only,) = facts(content, settings)
    return only


def event(content: bytes, settings: IntakeSettings = SETTINGS) -> Event:
    (only,) = read(content, settings).items
    assert isinstance(only, Event)
    return only


def notes(content: bytes, settings: IntakeSettings = SETTINGS) -> list[str]:
    return [note.reason for note in read(content, settings).notes]
