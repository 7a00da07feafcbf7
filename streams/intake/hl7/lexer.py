"""The lexer of ER7, the text encoding of HL7 v2: it splits a message into segments, fields and components.

Owns encoding characters, escape sequences and field addresses. Knows no trigger event and no field's meaning. A segment
is split into fields only when one is read, because a mapping reads about twenty of the hundreds of fields of a message.
No content of a message raises an exception here.
"""

from __future__ import annotations

import re
from functools import lru_cache

from streams.intake.reading import Note

NULL = '""'
"""HL7's request to delete a value (chapter 2.6). `Segment.get` returns it as empty text; `Segment.is_null` detects it."""

_ADDRESS = re.compile(r"([A-Z][A-Z0-9]{2})-(\d+)(?:\((\d+)\))?(?:\.(\d+)(?:\.(\d+))?)?\Z")


class Delimiters:
    """The separators of a message, from MSH-1 and MSH-2, and the decoding of its escape sequences."""

    __slots__ = ("_escapes", "_sequence", "component", "escape", "field", "repetition", "subcomponent")

    def __init__(self, field: str, component: str, repetition: str, escape: str, subcomponent: str) -> None:
        self.field = field
        self.component = component
        self.repetition = repetition
        self.escape = escape
        self.subcomponent = subcomponent
        self._escapes = {
            "F": field,
            "S": component,
            "T": subcomponent,
            "R": repetition,
            "E": escape,
            ".br": "\n",
            ".sp": "\n",
            "H": "",
            "N": "",
        }
        mark = re.escape(escape)
        self._sequence = re.compile(rf"{mark}([FSTREHN]|X[0-9A-Fa-f]+|\.[a-z]{{2}}[+-]?\d*){mark}") if escape else None

    def unescape(self, text: str) -> str:
        """Replace the escape sequences in *text* (chapter 2.7). Unknown sequences stay unchanged."""
        if not self.escape or self.escape not in text or self._sequence is None:
            return text
        return self._sequence.sub(self._replacement, text)

    def _replacement(self, match: re.Match[str]) -> str:
        code = match.group(1)
        known = self._escapes.get(code)
        if known is not None:
            return known
        if code[0] == "X":
            return bytes.fromhex(code[1:]).decode("utf-8", errors="replace") if len(code) % 2 else match.group(0)
        return "\n" if code[:3] in (".br", ".sp", ".ce") else " "


class Segment:
    """One segment. Fields are numbered as in the standard, so MSH-1 is the field separator itself."""

    __slots__ = ("_delimiters", "_fields", "name", "raw")

    def __init__(self, raw: str, delimiters: Delimiters) -> None:
        self.raw = raw
        self.name = raw[:3]
        self._delimiters = delimiters
        self._fields: list[str] | None = None

    def field(self, number: int) -> str:
        """Return the whole field unchanged, with repetitions and escape sequences; empty if there is none."""
        fields = self._fields
        if fields is None:
            fields = self.raw.split(self._delimiters.field)
            if fields[0] == "MSH":
                fields.insert(1, self._delimiters.field)
            self._fields = fields
        return fields[number] if number < len(fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """Return the repetitions of a field that are not blank."""
        text = self.field(number)
        if not text:
            return []
        if self.name == "MSH" and number <= 2:
            return [text]
        return [part for part in text.split(self._delimiters.repetition) if part.strip()] if self._delimiters.repetition else [text]

    def get(self, number: int, component: int = 1, subcomponent: int = 1) -> str:
        """Return the text of one component in the first repetition, unescaped and stripped."""
        text = self.field(number)
        if not text:
            return ""
        if self.name == "MSH" and number <= 2:
            return text
        mark = self._delimiters.repetition
        if mark and mark in text:
            text = text.split(mark, 1)[0]
        return self.part(text, component, subcomponent)

    def part(self, repetition: str, component: int = 1, subcomponent: int = 1) -> str:
        """Return the text of one component of *repetition*, an item of `repetitions`, unescaped and stripped."""
        delimiters = self._delimiters
        text = repetition
        if delimiters.component in text:
            parts = text.split(delimiters.component, component)
            text = parts[component - 1] if component <= len(parts) else ""
        elif component != 1:
            return ""
        if delimiters.subcomponent in text:
            parts = text.split(delimiters.subcomponent, subcomponent)
            text = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        elif subcomponent != 1:
            return ""
        text = text.strip()
        if delimiters.escape in text:
            return delimiters.unescape(text).strip()
        return "" if text == NULL else text

    def is_null(self, number: int) -> bool:
        """Return whether the sender requests the deletion of this field's value."""
        return self.field(number).strip() == NULL


class Message:
    """One message: its segments, in order."""

    __slots__ = ("_by_name", "delimiters", "notes", "segments")

    def __init__(self, segments: list[Segment], delimiters: Delimiters, notes: list[Note]) -> None:
        self.segments = segments
        self.delimiters = delimiters
        self.notes = notes
        self._by_name: dict[str, list[Segment]] = {}
        for segment in segments:
            self._by_name.setdefault(segment.name, []).append(segment)

    @property
    def header(self) -> Segment:
        """The MSH segment."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """Return the first segment with this name, or None."""
        found = self._by_name.get(name)
        return found[0] if found else None

    def every(self, name: str) -> list[Segment]:
        """Return all segments with this name, in order."""
        return self._by_name.get(name, [])

    def value(self, address: str) -> str:
        """Return the text at an address such as `PV1-19`, `PV1-19.1` or `PID-3(2).4.1`; empty if there is none.

        Raises ValueError if *address* is not valid, which is an error of the caller.
        """
        name, number, repetition, component, subcomponent = _address(address)
        segment = self.first(name)
        if segment is None:
            return ""
        if repetition == 1:
            return segment.get(number, component, subcomponent)
        repetitions = segment.repetitions(number)
        return segment.part(repetitions[repetition - 1], component, subcomponent) if repetition <= len(repetitions) else ""


def parse(text: str) -> Message | None:
    """Split *text*, one message that starts with MSH. Return None if its encoding characters are not usable."""
    notes: list[Note] = []
    delimiters = _delimiters(text, notes)
    if delimiters is None:
        return None
    mark = delimiters.field
    segments: list[Segment] = []
    lines = text.split("\r") if "\n" not in text else text.replace("\r\n", "\r").replace("\n", "\r").split("\r")
    for line in lines:
        # A segment starts with a three-character name and a separator, or is the name alone. This test runs for every
        # line and is much faster than a regular expression.
        if (line[3:4] == mark or len(line) == 3) and _is_name(line[:3]):
            segments.append(Segment(line, delimiters))
        else:
            _add_irregular_line(line, mark, segments, delimiters, notes)
    return Message(segments, delimiters, notes)


def _add_irregular_line(line: str, mark: str, segments: list[Segment], delimiters: Delimiters, notes: list[Note]) -> None:
    """Handle a line that does not start with a segment name.

    It can be an indented segment, the rest of a field that contains a line end, or text that is skipped.
    """
    bare = line.strip(" \t\x00\x0b\x1a\x1c\ufeff")
    if not bare:
        return
    if (bare[3:4] == mark or len(bare) == 3) and _is_name(bare[:3]):
        segments.append(Segment(bare, delimiters))
    elif mark in bare and segments:
        # The line continues the previous segment. Skipping it would, for example, lose PID-18 after a line end in an
        # address.
        segments[-1] = Segment(f"{segments[-1].raw}\n{bare}", delimiters)
        notes.append(Note("line-joined", segments[-1].name))
    else:
        notes.append(Note("line-skipped"))


@lru_cache(maxsize=4096)
def _is_name(name: str) -> bool:
    return name.isalnum() and name.isascii() and name.isupper() and not name[0].isdigit()


def _delimiters(text: str, notes: list[Note]) -> Delimiters | None:
    """Read MSH-1 and MSH-2. Missing characters get the standard's defaults. Return None if two of them are equal."""
    field = text[3:4]
    if not field or field.isalnum() or field.isspace() or not field.isprintable():
        return None
    end = text.find(field, 4)
    line_end = min((i for i in (text.find("\r"), text.find("\n")) if i >= 0), default=len(text))
    marks = text[4 : end if 0 <= end < line_end else line_end].strip()
    if marks.startswith("^~\\\\&"):  # Some programs double the backslash when they write a file.
        notes.append(Note("encoding-characters-mended", "MSH", "MSH-2"))
        marks = "^~\\&"
    return _delimiters_of(field, marks)


@lru_cache(maxsize=64)
def _delimiters_of(field: str, marks: str) -> Delimiters | None:
    marks = marks[:4] + "^~\\&"[len(marks[:4]) :]
    used = field + marks
    if len(set(used)) != 5 or any(mark.isalnum() or mark.isspace() for mark in used):
        return None
    return Delimiters(field, *marks)


@lru_cache(maxsize=1024)
def _address(address: str) -> tuple[str, int, int, int, int]:
    found = _ADDRESS.match(address)
    if found is None:
        raise ValueError(f"{address} is not a field address; examples are PV1-19.1 and PID-3(2).4.1")
    name, number, repetition, component, subcomponent = found.groups()
    return name, int(number), int(repetition or 1), int(component or 1), int(subcomponent or 1)
