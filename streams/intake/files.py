"""Reading of message files and folders, merged into one stream in order of arrival.

Owns the search for files, the detection of their format from their content, and the merge. Messages of one file keep
their order. Between files, the order is by the latest arrival read so far in each file, then by the order of the
arguments. A file is open only during a read, so that a folder with 100,000 files does not need 100,000 file
descriptors.
"""

from __future__ import annotations

import heapq
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from streams.contract.events import Event, Millis
from streams.intake.hl7.framing import as_utf8, content_id, number_lines, split_messages
from streams.intake.hl7.mapping import read_message
from streams.intake.json_lines import read_line
from streams.intake.reading import Arrived, Ignored, Note, Reading, Refused
from streams.intake.settings import IntakeSettings

_CHUNK = 1 << 18
_SNIFFED = 1 << 16
_GZIP = b"\x1f\x8b"
_HL7_SUFFIXES = frozenset({".hl7", ".er7", ".v2"})
_LINES_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
_CONTROL_IDS_KEPT = 500_000
"""The maximum number of control ids in memory: about 70 MB, and a month of messages from a large hospital."""
_UNDATED_HELD = 1000
"""The maximum number of readings at the start of a file that wait for the first reading with an arrival."""

PositionedReading = tuple[Reading, str]
"""A reading and its position (`path:line`)."""


def read_paths(paths: Sequence[Path | str], settings: IntakeSettings) -> Iterator[Arrived]:
    """Yield the items of all messages in the files and folders, in order of arrival; at least one item per message.

    Folders are read recursively and in order of name, without hidden files. A file that cannot be read gives a Refused.
    A file of unknown format gives a Refused if *paths* names it, and an Ignored if it was found in a folder.
    """
    feeds = [_in_arrival_order(_readings_of(path, settings, named=named)) for path, named in _files(paths)]
    control_ids = ControlIds()
    now: Millis | None = None
    for _, reading, where, known in heapq.merge(*feeds, key=lambda entry: entry[0]):
        arrival = reading.arrival if reading.arrival is not None else known
        if arrival is None:
            arrival = now if now is not None else Millis(0)
        now = arrival if now is None else max(now, arrival)
        notes = reading.notes
        if control_ids.is_reused(reading):
            notes = (*notes, Note("control-id-reused", "MSH", "MSH-10"))
        raw = reading.raw
        for number, item in enumerate(reading.items):
            kept, raw = (raw, b"") if isinstance(item, Refused) else (b"", raw)
            yield Arrived(item, item.arrival if isinstance(item, Event) else arrival, where, notes if number == 0 else (), kept)


class ControlIds:
    """The first content seen for each control id, to detect a control id that is reused for other content."""

    def __init__(self) -> None:
        self._first: dict[bytes, bytes] = {}

    def is_reused(self, reading: Reading) -> bool:
        """Return whether an earlier message had the same control id but other content."""
        if reading.control is None:
            return False
        control = sha256("\x1f".join(reading.control).encode()).digest()[:8]
        first = self._first.setdefault(control, reading.digest[:8])
        if len(self._first) > _CONTROL_IDS_KEPT:
            del self._first[next(iter(self._first))]
        return first != reading.digest[:8]


def _files(paths: Sequence[Path | str]) -> Iterator[tuple[Path, bool]]:
    """Yield each file, and True if *paths* names it or False if it was found in a folder."""
    for given in paths:
        path = Path(given)
        if not path.is_dir():
            yield path, True
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if not name.startswith("."):
                    yield Path(folder) / name, False


def _in_arrival_order(feed: Iterator[PositionedReading]) -> Iterator[tuple[int, Reading, str, Millis | None]]:
    """Yield a sort key, the reading, its position, and its arrival for the merge (None if unknown).

    Key and arrival are the latest arrival in the file so far. Readings before the first arrival get that first arrival.
    """
    held: list[PositionedReading] = []
    latest: Millis | None = None
    for reading, where in feed:
        if latest is None:
            held.append((reading, where))
            if reading.arrival is None and len(held) < _UNDATED_HELD:
                continue
            latest = reading.arrival
            for one, position in held:
                yield (latest if latest is not None else _BEFORE_ALL), one, position, latest
            held = []
            continue
        if reading.arrival is not None and reading.arrival > latest:
            latest = reading.arrival
        yield latest, reading, where, latest
    for one, position in held:
        yield _AFTER_ALL, one, position, None


_BEFORE_ALL = -(1 << 62)
_AFTER_ALL = 1 << 62
"""The sort key of a file in which no reading has an arrival. Such a file comes after all other files."""


def _readings_of(path: Path, settings: IntakeSettings, *, named: bool) -> Iterator[PositionedReading]:
    """Yield the readings of one file."""
    chunks = _chunks(path)
    head = b""
    try:
        for chunk in chunks:
            head += chunk
            if len(head) >= _SNIFFED:
                break
        kind = _format(head, path)
        if kind is None:
            yield Reading((_unknown_format(path, head, named=named),)), f"{path}:1"
        elif kind == "hl7":
            for raw in split_messages(_joined(head, chunks)):
                yield read_message(raw, settings), f"{path}:{raw.line}"
        elif (refused := _multi_line_json(head)) is not None:
            yield Reading((refused,)), f"{path}:1"
        else:
            for number, line in number_lines(as_utf8(_joined(head, chunks))):
                reading = read_line(line, settings)
                if reading is not None:
                    yield reading, f"{path}:{number}"
    except _UnreadableError as error:
        yield Reading((Refused("file-unreadable", "", "", "", content_id(head), str(error)),)), f"{path}:1"


def _joined(head: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _format(head: bytes, path: Path) -> str | None:
    """Return `hl7`, `lines` or None (unknown), from the start of the content or, if that is not clear, from the suffix."""
    suffixes = {suffix.lower() for suffix in path.suffixes}
    utf16 = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    bare = (head.replace(b"\x00", b"") if utf16 else head).removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x00\x0b\xff\xfe")
    if not bare:
        return "hl7" if suffixes & _HL7_SUFFIXES else "lines"
    if bare[:3] in (b"MSH", b"FHS", b"BHS") and not bare[3:4].isalnum():
        return "hl7"
    if bare.startswith(b"{"):
        return "lines"
    if b"MSH|" in bare:
        return "hl7"
    if bare.startswith(b"#") and any(line.lstrip().startswith(b"{") for line in bare.split(b"\n")):
        return "lines"
    if suffixes & _HL7_SUFFIXES:
        return "hl7"
    return "lines" if suffixes & _LINES_SUFFIXES else None


def _multi_line_json(head: bytes) -> Refused | None:
    """Return one Refused if the file is a single JSON value on several lines, so that not every line is refused."""
    first, _, more = head.lstrip().partition(b"\n")
    if not more.strip() or first[:1] not in (b"{", b"[") or _json(first) is not _NONE:
        return None
    found = _json(head)
    if found is _NONE:
        return None
    fhir = isinstance(found, dict) and "resourceType" in found
    detail = (
        "this is a FHIR resource, which is not supported; send HL7 v2 or events as JSON lines"
        if fhir
        else "the file is one JSON value on several lines"
    )
    return Refused("not-json", "", "", "", content_id(head), detail)


_NONE = object()


def _json(content: bytes) -> object:
    """Return the JSON value in *content*, or `_NONE`."""
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NONE


def _unknown_format(path: Path, head: bytes, *, named: bool) -> Refused | Ignored:
    if named:
        return Refused("format-unknown", "", "", "", content_id(head))
    return Ignored("format-unknown", "", content_id(head), path.suffix.lower())


class _UnreadableError(Exception):
    """The file cannot be opened, read or decompressed."""


def _chunks(path: Path) -> Iterator[bytes]:
    """Yield the content of the file, decompressed if it is gzipped."""
    raw = _raw_chunks(path)
    first = next(raw, b"")
    if not first.startswith(_GZIP):
        yield from _joined(first, raw)
        return
    unpack = zlib.decompressobj(wbits=31)
    for chunk in _joined(first, raw):
        rest = chunk
        while rest:
            try:
                data = unpack.decompress(rest, _CHUNK)
            except zlib.error:
                raise _UnreadableError("the gzip data is damaged") from None
            if data:
                yield data
            rest = unpack.unconsumed_tail
            if unpack.eof:  # Another gzip member may follow. Other bytes after the end are padding.
                rest = unpack.unused_data
                if not rest.startswith(_GZIP):
                    return
                unpack = zlib.decompressobj(wbits=31)
    if not unpack.eof:
        raise _UnreadableError("the gzip data is cut short")


def _raw_chunks(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file. A regular file is closed between two reads; a pipe stays open."""
    at = 0
    try:
        while True:
            with path.open("rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    while chunk := file.read(_CHUNK):
                        yield chunk
                    return
                file.seek(at)
                chunk = file.read(_CHUNK)
            if not chunk:
                return
            at += len(chunk)
            yield chunk
            if len(chunk) < _CHUNK:
                return
    except OSError as error:
        raise _UnreadableError(error.strerror or "it cannot be read") from None
