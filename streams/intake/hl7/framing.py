"""Splitting of a byte stream into HL7 messages: line ends, MLLP frames, byte order marks, batches and character sets.

Owns the boundaries of messages and the detection of incomplete messages. Knows only the segments that delimit messages
and batches (MSH, FHS, BHS, BTS, FTS). A message keeps the number of its first line, so that people can find it.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from streams.intake.reading import Refused

_BREAK = re.compile(rb"\r\n|\r|\n")
# An MLLP frame is 0x0B, a message, 0x1C, 0x0D. Elsewhere, 0x0B and 0x1C are text: word processors use 0x0B as a line
# break.
_FRAME = re.compile(rb"(\x0b(?=[ \t\x00]*(?:\xef\xbb\xbf)?(?:MSH|FHS|BHS))|\x1c(?=[ \t\x00\x1a]*(?:\x0b|\Z)))")
_START = re.compile(rb"MSH[^0-9A-Za-z\s\x00-\x1f\x7f-\xff]")
_NAME = re.compile(rb"[A-Z][A-Z0-9]{2}(?![0-9A-Za-z\s\x80-\xff])")
_INNER_START = b"MSH|^~\\&|"
"""The start of a message inside a line. It cannot be a value, because separators in values are escaped. It occurs if a
message was cut short, or if files without a final line end were joined."""

_BATCH_SEGMENTS = (b"FHS", b"BHS", b"BTS", b"FTS")
_JUNK = b" \t\x00\x1a\x1c\x0b"
_BOM = b"\xef\xbb\xbf"
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# The codes of HL7 table 0211, and other names that senders use. ASCII is read as UTF-8, which includes it, because many
# senders declare ASCII and send UTF-8. Otherwise, one accented letter in an address would make a message unreadable.
_CHARSETS = {
    "": "utf-8",
    "ASCII": "utf-8",
    "US-ASCII": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE-UTF-8": "utf-8",
    **{f"8859/{n}": f"iso8859-{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)},
    **{f"{p}8859-{n}": f"iso8859-{n}" for p in ("ISO-", "ISO ", "ISO", "") for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)},
    "LATIN1": "iso8859-1",
    "LATIN-1": "iso8859-1",
    **{f"{p}{n}": f"cp{n}" for p in ("CP", "WINDOWS-", "WIN") for n in (1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257)},
    "GB 18030-2000": "gb18030",
    "GB18030": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "BIG5": "big5",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
}


@dataclass(frozen=True, slots=True)
class RawMessage:
    """The lines of one message, without framing, and the number of its first line in the stream.

    `problem` is set if the framing shows that the message is incomplete or invalid. `unicode` is true if the stream was
    UTF-16 or UTF-32. `ended` is false if the next message started within the last line.
    """

    lines: tuple[bytes, ...]
    line: int
    problem: Refused | None = None
    unicode: bool = False
    ended: bool = True

    @property
    def content(self) -> bytes:
        """The message, with a carriage return at the end of each line."""
        return b"\r".join(self.lines) + b"\r"


def split_messages(chunks: Iterable[bytes]) -> Iterator[RawMessage]:
    """Yield the messages of a byte stream. Chunks can have any size; memory holds one message and one chunk."""
    splitter = _Splitter()
    for number, line in number_lines(as_utf8(chunks, splitter)):
        yield from splitter.take(number, line)
    yield from splitter.close()


class _Splitter:
    """Collects lines into messages."""

    def __init__(self) -> None:
        self.unicode = False
        self._lines: list[bytes] = []
        self._line = 0
        self._framed = False
        self._in_message = False
        self._batch: int | None = None
        """The number of messages since the batch header; None outside a batch."""
        self._batch_line = 0

    def take(self, number: int, line: bytes) -> Iterator[RawMessage]:
        """Process one line. Yield each message that it completes."""
        if (
            self._in_message
            and line[:1].isalpha()
            and b"MSH" not in line
            and b"\x0b" not in line
            and b"\x1c" not in line
            and line[:3] not in _BATCH_SEGMENTS
        ):
            self._lines.append(line)  # The fast path, for almost every line.
            return
        if b"\x0b" not in line and b"\x1c" not in line:
            yield from self._take_text(number, line)
            return
        for piece in _FRAME.split(line):
            if piece == b"\x0b":
                yield from self._finish(cut=self._framed)
                self._framed = True
            elif piece == b"\x1c":
                self._framed = False
                yield from self._finish(cut=False)
            elif piece:
                yield from self._take_text(number, piece)

    def _take_text(self, number: int, line: bytes) -> Iterator[RawMessage]:
        """Process a line, or a part of one, that has no MLLP frame bytes."""
        line = line.removeprefix(_BOM)
        bare = line.lstrip(_JUNK)
        if not bare:
            return
        if _START.match(bare):
            if self._lines:
                yield from self._finish(cut=self._framed)
                self._framed = False
            self._open(number)
            line = bare
        elif bare[:3] in _BATCH_SEGMENTS and not bare[3:4].isalnum():
            yield from self._finish(cut=False)
            yield from self._batch_segment(number, bare)
            return
        begin = 0
        while (inner := line.find(_INNER_START, begin + 1)) >= 0:
            if not self._in_message:
                self._open(number)
            self._lines.append(line[begin:inner].removesuffix(_BOM))
            yield from self._finish(cut=self._framed, ended=False)
            self._framed = False
            begin = inner
        if not self._in_message:
            self._open(number)
        self._lines.append(line[begin:] if begin else line)

    def close(self) -> Iterator[RawMessage]:
        """Process the end of the stream. Yield the last message."""
        yield from self._finish(cut=self._framed)
        if self._batch is not None:
            yield _refusal("batch-cut-short", "BTS", "", self._batch_line, (b"BHS",))

    def _open(self, number: int) -> None:
        self._line = number
        self._in_message = True

    def _finish(self, *, cut: bool, ended: bool = True) -> Iterator[RawMessage]:
        if not self._lines:
            self._in_message = False
            return
        lines, self._lines, self._in_message = tuple(self._lines), [], False
        if not _START.match(lines[0]):
            yield _refusal("not-hl7", "MSH", "", self._line, lines)
            return
        if self._batch is not None:
            self._batch += 1
        if cut:
            yield _refusal("cut-short", _segment_name(lines[-1]), "", self._line, lines)
            return
        yield RawMessage(lines, self._line, unicode=self.unicode, ended=ended)

    def _batch_segment(self, number: int, line: bytes) -> Iterator[RawMessage]:
        name = line[:3]
        if name in (b"BHS", b"FHS", b"FTS"):
            if self._batch is not None:
                yield _refusal("batch-cut-short", "BTS", "", self._batch_line, (b"BHS",))
            self._batch = 0 if name == b"BHS" else None
            self._batch_line = number
            return
        count = line[4:].split(line[3:4] or b"|")[0].strip() if len(line) > 4 else b""
        if count.isdigit() and len(count) < 10 and self._batch is not None and int(count) != self._batch:
            yield _refusal("batch-count-differs", "BTS", "BTS-1", number, (line,))
        self._batch = None


def decode(raw: RawMessage) -> str | Refused:
    """Decode a message in the character set that its MSH-18 declares. Return a Refused if that is not possible."""
    content = raw.content
    header = raw.lines[0]
    declared = ""
    if not raw.unicode:
        fields = header.split(header[3:4])
        if len(fields) > 17:
            declared = fields[17].split(b"~")[0].decode("latin-1").strip()
    charset = _charset(declared)
    if charset is None:
        return Refused("charset-unknown", "MSH", "MSH-18", "", content_id(content))
    try:
        text = content.decode(charset)
    except UnicodeDecodeError as error:
        before = content[content.rfind(b"\r", 0, error.start) + 1 : error.start]
        segment = _segment_name(before)
        # Field numbers of MSH are higher by one, because MSH-1 is the separator itself.
        field = f"{segment}-{before.count(header[3:4]) + (segment == 'MSH')}" if segment else ""
        return Refused("charset-wrong", segment, field, "", content_id(content), f"it was read as {charset}")
    if raw.unicode and "\ufffd" in text:
        return Refused("charset-wrong", "", "", "", content_id(content), "the UTF-16 or UTF-32 text is incomplete")
    return text


def number_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    r"""Yield each line with its number, from 1. A line ends with `\r`, `\n` or `\r\n`, even if a chunk splits the latter."""
    number = 1
    begun: list[bytes] = []
    """The parts of an unfinished line. They are joined only once, because a line can be as long as the stream."""
    held = b""
    for chunk in chunks:
        data = held + chunk
        held = b""
        if data.endswith(b"\r"):
            data, held = data[:-1], b"\r"
        first, *more = _BREAK.split(data)
        begun.append(first)
        if not more:
            continue
        yield number, b"".join(begun)
        number += 1
        for line in more[:-1]:
            yield number, line
            number += 1
        begun = more[-1:]
    yield number, b"".join(begun)
    if held:
        yield number + 1, b""


def content_id(content: bytes) -> str:
    """Return an id for a message that cannot be read: a hash of its content."""
    return "sha256:" + hashlib.sha256(content).hexdigest()[:32]


def _segment_name(line: bytes) -> str:
    """Return the segment name of *line*, or an empty string if it has none, because other text may be patient data."""
    found = _NAME.match(line)
    return found.group().decode() if found is not None else ""


@lru_cache(maxsize=128)
def _charset(declared: str) -> str | None:
    return _CHARSETS.get(declared.upper())


def _refusal(reason: str, segment: str, field: str, line: int, lines: tuple[bytes, ...]) -> RawMessage:
    content = b"\r".join(lines) + b"\r"
    return RawMessage(lines, line, Refused(reason, segment, field, "", content_id(content)))


def as_utf8(chunks: Iterable[bytes], splitter: _Splitter | None = None) -> Iterator[bytes]:
    """Convert UTF-16 and UTF-32 with a byte order mark to UTF-8. Pass other bytes through unchanged."""
    pieces = iter(chunks)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= 4:
            break
    # _MARKS lists UTF-32 first, because its mark starts with the mark of UTF-16.
    encoding = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if encoding is None:
        yield head
        yield from pieces
        return
    if splitter is not None:
        splitter.unicode = True
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    yield decoder.decode(head).encode()
    for piece in pieces:
        yield decoder.decode(piece).encode()
    yield decoder.decode(b"", final=True).encode()
