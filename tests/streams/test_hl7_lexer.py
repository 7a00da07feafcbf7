"""The lexer and the framing: what senders do to delimiters and line ends."""

import hl7
import pytest
from hl7_building import SAMPLES, SETTINGS, adt, header, message, pid, pv1, read, segment
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import each

from streams.contract.cloudevents import attribute_fits
from streams.contract.events import Event
from streams.intake.hl7.framing import decode, split_messages
from streams.intake.hl7.lexer import parse
from streams.intake.hl7.mapping import read_message
from streams.intake.reading import Refused

ALL_SAMPLES = sorted(SAMPLES.glob("*.hl7"))


def raws(content):
    return list(split_messages([content]))


def read_one(raw):
    return read_message(raw, SETTINGS).items


def lexed(content):
    (raw,) = raws(content)
    text = decode(raw)
    assert isinstance(text, str)
    found = parse(text)
    assert found is not None
    return found


def test_addresses_reach_fields_components_subcomponents_and_repetitions():
    found = lexed(message(header(), "PID|1||1^^^A&B&C^MR~2^^^D^NH|a\\T\\b|", "PV1|1|I"))

    assert found.value("PID-3.1") == "1"
    assert found.value("PID-3.4.2") == "B"
    assert found.value("PID-3(2)") == "2"
    assert found.value("PID-3(2).5") == "NH"
    assert found.value("PID-3(3).5") == ""
    assert found.value("PID-4") == "a&b"
    assert found.value("PID-99.9.9") == ""
    assert found.value("ZZZ-1") == ""
    assert found.value("MSH-1") == "|"
    assert found.value("MSH-2") == "^~\\&"
    assert found.value("MSH-9.2") == "A01"


def test_invalid_address_is_an_error_of_the_program():
    with pytest.raises(ValueError, match=r"PV1-19\.1"):
        lexed(message(header())).value("PV1.19")


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ("a\\F\\b", "a|b"),
        ("a\\S\\b", "a^b"),
        ("a\\T\\b", "a&b"),
        ("a\\R\\b", "a~b"),
        ("a\\E\\b", "a\\b"),
        ("a\\X0D\\b", "a\rb"),
        ("a\\XC3A9\\b", "aéb"),
        ("a\\.br\\b", "a\nb"),
        ("a\\H\\b\\N\\", "ab"),
        ("a\\X0\\b", "a\\X0\\b"),
        ("C:\\dir\\T\\", "C:\\dir&"),
        ("a\\Q\\b", "a\\Q\\b"),
        ("end\\", "end\\"),
        ('""', ""),
        ("  spaced  ", "spaced"),
    ],
)
def test_escape_sequences(sent, read_as):
    assert lexed(message(header(), f"NTE|{sent}")).value("NTE-1") == read_as


def test_delete_marker_differs_from_an_empty_field():
    found = lexed(message(header(), 'PID|""||'))

    assert found.first("PID").is_null(1)
    assert not found.first("PID").is_null(2)


def test_encoding_characters_come_from_the_message():
    content = b"MSH#$*@!#ADT#GENERAL###20260702150004-0400##ADT$A01#1#P#2.5\rPID###5$$$GEN!x$MR*6\rPV1##I#############b@F@@S@@R@@T@@E@\r"

    found = lexed(content)

    assert found.value("PID-3") == "5"
    assert found.value("PID-3(2)") == "6"
    assert found.value("PID-3.4.2") == "x"
    assert found.value("PV1-15") == "b#$*!@"
    assert found.value("MSH-1") == "#"


@pytest.mark.parametrize("marks", ["^^~\\&", "A~\\&", "^~^&", "^ \\&", "|~\\&"])
def test_equal_encoding_characters_are_refused(marks):
    content = header().replace("^~\\&", marks, 1).encode() + b"\r"

    (item,) = read(content).items

    assert isinstance(item, Refused)
    assert item.reason in ("encoding-characters-invalid", "not-hl7", "message-type-missing", "field-missing", "segment-missing")


def test_missing_encoding_characters_are_the_standards():
    content = b"MSH||ADT|GENERAL|||20260702150004-0400||ADT^A01|1|P|2.5\rPID|||5^^^GEN^MR\rPV1||I\r"

    assert isinstance(read(content).items[0], Event)


def test_doubled_backslash_in_msh_2_is_mended_and_noted():
    content = adt("A01").replace(b"^~\\&", b"^~\\\\&", 1)

    reading = read(content)

    assert isinstance(reading.items[0], Event)
    assert "encoding-characters-mended" in [note.reason for note in reading.notes]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\n", "\n\r\n"])
def test_line_ends_do_not_change_what_is_read_nor_its_id(end):
    content = adt("A01")

    assert read(content.replace(b"\r", end.encode())).items == read(content).items


def test_last_segment_needs_no_line_end():
    assert read(adt("A01").rstrip(b"\r")).items == read(adt("A01")).items


def test_mllp_bytes_byte_order_mark_and_trailing_junk_are_framing():
    plain = adt("A01")

    for dressed in (
        b"\x0b" + plain + b"\x1c\r",
        b"\xef\xbb\xbf" + plain,
        b"\r\n\r\n" + plain + b"\r\n  \r\n\x1a",
        b"\x0b\xef\xbb\xbf" + plain + b"\x1c\r\x00",
    ):
        assert read(dressed).items == read(plain).items


def test_indented_segment_is_a_segment():
    (item,) = read(adt("A01").replace(b"PID", b"  PID")).items

    assert item.data == read(adt("A01")).items[0].data


def test_utf_16_with_its_mark_is_read():
    plain = adt("A01", visit=pv1(f7="1^Müller^Ann"))

    for encoding in ("utf-16", "utf-32"):
        (item,) = read(plain.decode().encode(encoding)).items
        assert item.data.attending.name == "Ann Müller"


def test_several_messages_with_blank_lines_between_them():
    content = adt("A01", f10="1") + b"\r\n\n" + adt("A08", f10="2") + b"\x0b" + adt("A03", f10="3") + b"\x1c\r" + adt("A11", f10="4")

    found = raws(content)

    assert [parse(decode(raw)).value("MSH-10") for raw in found] == ["1", "2", "3", "4"]
    assert [raw.problem for raw in found] == [None] * 4


def test_message_knows_the_line_that_it_began_on():
    content = b"\n\n" + adt("A01").replace(b"\r", b"\r\n") + adt("A08").replace(b"\r", b"\n")

    assert [raw.line for raw in raws(content)] == [3, 7]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_pieces_of_any_size_give_the_same_messages(size, encoding):
    content = (adt("A01") + adt("A08")).replace(b"\r", b"\r\n").decode().encode(encoding)

    pieces = [content[at : at + size] for at in range(0, len(content), size)]

    assert list(split_messages(pieces)) == raws(content)


def test_batch_is_unwrapped_and_its_count_is_checked():
    batch = b"FHS|^~\\&|A\rBHS|^~\\&|A\r" + adt("A01") + adt("A08") + b"BTS|2\rFTS|1\r"

    found = raws(batch)
    short = raws(batch.replace(b"BTS|2", b"BTS|3"))
    torn = raws(batch[: batch.index(b"BTS")])

    assert [raw.problem for raw in found] == [None, None]
    assert short[-1].problem.reason == "batch-count-differs"
    assert torn[-1].problem.reason == "batch-cut-short"
    assert len(short) == len(torn) == 3


def test_header_inside_a_line_begins_a_message_and_the_previous_one_may_be_cut():
    first, second = adt("A01", "ROL||AD|CP|1"), adt("A03", f10="2")

    cut, whole = raws(first[:-1] + second)

    assert "end-missing" in [note.reason for note in read_message(cut, SETTINGS).notes]
    assert read_one(cut)[0].data == read(first).items[0].data
    assert read_one(whole) == read(second).items


def test_mllp_frame_without_its_end_is_cut():
    first, second = adt("A01"), adt("A03", f10="2")

    cut, whole = raws(b"\x0b" + first + b"\x0b" + second + b"\x1c\r")

    assert cut.problem.reason == "cut-short"
    assert whole.problem is None
    assert raws(b"\x0b" + first)[0].problem.reason == "cut-short"
    assert [getattr(raw.problem, "reason", None) for raw in raws(b"\x0b" + first + second)] == ["cut-short", None]
    assert [getattr(raw.problem, "reason", None) for raw in raws(b"\x0b" + first[:-5] + second)] == ["cut-short", None]


def test_adjacent_frames_and_several_headers_in_a_line_are_separated():
    one, two, three = (adt("A01", f10=str(n)).rstrip(b"\r") for n in (1, 2, 3))

    for content in (
        b"\x0b" + one + b"\x1c\x0b" + two + b"\x1c\x0b" + three + b"\x1c",
        b"\x0b" + one + b"\r\x1c\r\x0b" + two + b"\r\x1c\x0b" + three + b"\r\x1c\r",
        one + two + three,
    ):
        found = raws(content)
        assert [raw.problem for raw in found] == [None] * 3
        assert [read_one(raw) for raw in found] == [list_of(message) for message in (one, two, three)]
    heads = raws(b"MSH|^~\\&|AMSH|^~\\&|BMSH|^~\\&|C")
    assert [raw.lines[0][-1:] for raw in heads] == [b"A", b"B", b"C"]
    assert len(raws(b"MSH|^~\\&|" * 5000)) == 5000


def list_of(content):
    return read(content).items


def test_line_breaks_of_word_processors_are_text():
    content = adt("A01", "NTE|1||first\x0bsecond\x1cthird", "ROL||AD|CP|7")

    (item,) = read(content).items

    assert [member.party.practitioner.id for member in item.data.members] == ["7"]
    assert read(b"\x0b" + content + b"\x1c\r").items == (item,)


def test_lost_header_between_two_messages_is_noticed():
    second = adt("A03", f10="2")
    headless = second[second.index(b"EVN") :]

    for second in (headless, headless[: headless.index(b"PV1")], headless[: headless.index(b"PID")], headless[headless.index(b"PID") :]):
        (item,) = read(adt("A01") + second).items
        assert isinstance(item, Refused)
        assert item.reason == "run-together"


def test_text_before_the_first_header_is_refused_and_the_rest_is_read():
    junk, whole = raws(b"Sent by the interface engine\r\nPID|1||77001\r\n" + adt("A01"))

    assert junk.problem.reason == "not-hl7"
    assert junk.problem.segment == "MSH"
    assert whole.problem is None


def test_segment_broken_by_a_raw_line_end_is_joined():
    content = adt("A01", visit=pv1(f3="4E^broken\nname|R|||1^SMITH"))

    reading = read(content)

    assert reading.items[0].data.attending.id == "1"
    assert [note.reason for note in reading.notes] == ["line-joined"]


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("", "utf-8"),
        ("UNICODE UTF-8", "utf-8"),
        ("8859/1", "latin-1"),
        ("8859/15", "iso8859-15"),
        ("ASCII", "utf-8"),
        ("CP1252", "cp1252"),
        ("8859/1~UNICODE UTF-8", "latin-1"),
    ],
)
def test_character_set_is_the_one_of_msh_18(declared, encoding):
    text = adt("A01", visit=pv1(f7="1^Müller^Zoë"), f18=declared).decode()

    (item,) = read(text.encode(encoding)).items

    assert item.data.attending.name == "Zoë Müller"


def test_bytes_that_are_not_of_the_character_set_are_refused_with_their_segment():
    text = adt("A01", visit=pv1(f7="1^Müller")).decode()

    (item,) = read(text.encode("latin-1")).items

    assert (item.reason, item.segment) == ("charset-wrong", "PV1")
    assert "MSH-18" in item.remedy


def test_refusal_of_bytes_names_field_and_sender_and_repeats_nothing_of_the_message():
    content = message(header(), pid(f5="M\u00fcller^Anna"), pv1()).replace("\u00fc".encode(), b"\xfc")
    (item,) = read(content).items
    assert (item.segment, item.field, item.source) == ("PID", "PID-5", "urn:hl7:GENERAL:ADT")
    (broken,) = read(content.replace(b"PID|", b"PID|" + b"Meier\r")).items
    assert (broken.segment, broken.field) == ("", "")


def test_message_of_which_something_is_refused_is_kept_as_it_was():
    whole = message(header(), pid(f3="0"), pv1())
    assert read(whole).raw == whole
    assert read(message(header(), segment("EVN", f2="20260702150000-0400"), pid(), pv1())).raw == b""


def test_source_with_a_name_too_long_for_a_header_gets_a_hash():
    first, other = (read(message(header(f3="A" * 600 + end), pid(), pv1())).items[0].source for end in "XY")
    assert attribute_fits(first)
    assert first != other


@pytest.mark.parametrize("declared", ["EBCDIC", "utf-7", "idna", "rot13", "unicode_escape", "UNICODE UTF-16"])
def test_unknown_character_set_is_refused(declared):
    (item,) = read(adt("A01", f18=declared)).items

    assert (item.reason, item.field) == ("charset-unknown", "MSH-18")


@each("path", ALL_SAMPLES, ids=lambda path: path.stem)
def test_lexer_agrees_with_the_hl7_package(path):
    text = path.read_text("utf-8-sig").replace("\n", "\r")
    ours = lexed(path.read_bytes())
    theirs = hl7.parse(text)

    assert [str(segment[0]) for segment in theirs] == [segment.name for segment in ours.segments]
    for mine, other in zip(ours.segments, theirs, strict=True):
        for number in range(1, len(other)):
            assert mine.field(number) == str(other[number]), f"{mine.name}-{number}"
            if mine.name == "MSH" and number <= 2:
                continue
            for component in range(1, 9):
                try:
                    expected = text_of(other, number, component)
                except (IndexError, KeyError):
                    expected = ""
                assert mine.get(number, component) == expected, f"{mine.name}-{number}.{component}"


def text_of(segment, number, component):
    """Return the first subcomponent of the first repetition from the package. Without separators its parts are plain strings."""
    part = segment(number)
    if isinstance(part, hl7.Field):
        part = part[0]
    if isinstance(part, hl7.Repetition):
        part = part[component - 1]
    elif component > 1:
        return ""
    if isinstance(part, hl7.Component):
        part = part[0]
    for code, mark in (("\\T\\", "&"), ("\\S\\", "^"), ("\\F\\", "|"), ("\\R\\", "~"), ("\\E\\", "\\")):
        part = str(part).replace(code, mark)
    part = str(part).strip()
    return "" if part == '""' else part


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_no_bytes_make_it_raise(content):
    for raw in split_messages([content]):
        assert read_one(raw)


ER7_ALPHABET = '|^~\\&\r\n\x0b\x1c MSHPIDVEN1A0923"é\x00XFT.br-+ZGR'


@given(st.text(ER7_ALPHABET, max_size=200), st.integers(0, 2000))
@settings(max_examples=400)
def test_no_text_inside_of_a_real_message_makes_it_raise(noise, at):
    content = (SAMPLES / "ADT-A03-01.hl7").read_bytes()
    at = at * 4 % len(content)

    for raw in split_messages([content[:at] + noise.encode() + content[at:]]):
        assert read_one(raw)


@pytest.mark.parametrize("name", ["ADT-A40-01.hl7", "ADT04-251.hl7", "ADT01-23.hl7", "REF-I12-01.hl7", "SIU-S12-01.hl7", "ADT-A03-01.hl7"])
def test_message_cut_at_any_byte_answers(name):
    content = (SAMPLES / name).read_bytes()

    for at in range(len(content)):
        for raw in split_messages([content[:at]]):
            assert read_one(raw)
