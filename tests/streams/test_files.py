"""Files and folders: they are found, recognised by content and merged in the order of arrival, and nothing is lost."""

import gzip
import json
import os
import threading
from datetime import datetime

import pytest
from hl7_building import SAMPLES, SETTINGS, adt, event, evn, message, pid

from streams.contract.events import Event
from streams.contract.instants import format_instant, parse_instant
from streams.intake import files
from streams.intake.files import read_paths
from streams.intake.reading import Ignored, Refused

START = parse_instant("2026-07-01T00:00:00Z")


def line(number, minute, **more):
    arrival = format_instant(START + minute * 60_000)
    given = {
        "type": "PersonUpdated",
        "id": str(number),
        "source": "s",
        "time": arrival,
        "person": {"authority": "A", "identifier": "1"},
        "data": {"language": "en"},
    }
    return json.dumps(given | more).encode()


def hl7(control, minute):
    sent = datetime.fromtimestamp((START + minute * 60_000) / 1000).astimezone().strftime("%Y%m%d%H%M%S%z")
    return adt("A01", event=evn(f2=sent), f7=sent, f10=str(control))


def write(folder, **contents):
    for name, content in contents.items():
        path = folder / name.replace("__", "/").replace("_", ".", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def read(*paths):
    return list(read_paths(paths, SETTINGS))


def ids(found):
    return [a.item.id for a in found]


def test_files_are_merged_in_the_order_of_arrival(tmp_path):
    write(tmp_path, a_jsonl=b"\n".join([line(1, 0), line(3, 20), line(5, 40)]), b_jsonl=b"\n".join([line(2, 10), line(4, 30)]))

    found = read(tmp_path)

    assert ids(found) == ["1", "2", "3", "4", "5"]
    assert [a.arrival - START for a in found] == [0, 600_000, 1_200_000, 1_800_000, 2_400_000]
    assert found[0].where == f"{tmp_path}/a.jsonl:1"
    assert found[1].where == f"{tmp_path}/b.jsonl:1"


def test_each_file_keeps_its_own_order_however_late_a_line_is(tmp_path):
    write(
        tmp_path, a_jsonl=b"\n".join([line(1, 0), line(2, 50), line(3, 5), line(4, 60)]), b_jsonl=b"\n".join([line(10, 10), line(11, 55)])
    )

    assert ids(read(tmp_path)) == ["1", "10", "2", "3", "11", "4"]


def test_equal_arrivals_follow_the_order_of_the_arguments(tmp_path):
    write(tmp_path, a_jsonl=line(1, 0), b_jsonl=line(2, 0))

    assert ids(read(tmp_path / "b.jsonl", tmp_path / "a.jsonl")) == ["2", "1"]
    assert ids(read(tmp_path / "a.jsonl", tmp_path / "b.jsonl")) == ["1", "2"]


def test_hl7_and_json_lines_are_recognised_by_content_not_by_name(tmp_path):
    write(
        tmp_path,
        a_txt=hl7(1, 0),
        b_dat=b"# story\n" + line(2, 1),
        c_json=hl7(3, 2),
        d_hl7=line(4, 3),
        e_txt=b"\x0b" + hl7(5, 4) + b"\x1c\r",
    )

    assert [type(a.item.data).__name__ for a in read(tmp_path)] == [
        "PatientAdmitted",
        "PersonUpdated",
        "PatientAdmitted",
        "PersonUpdated",
        "PatientAdmitted",
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_of_editors_are_accepted(tmp_path, encoding):
    write(tmp_path, a_jsonl=(line(1, 0) + b"\r\n" + line(2, 1)).decode().encode(encoding), b_hl7=hl7(3, 2).decode().encode(encoding))

    assert [a.item.type for a in read(tmp_path)] == ["PersonUpdated", "PersonUpdated", "PatientAdmitted"]


def test_gzip_is_unpacked_also_when_several_are_joined(tmp_path):
    write(tmp_path, a_gz=gzip.compress(line(1, 0) + b"\n") + gzip.compress(line(2, 1)), b_gz=gzip.compress(hl7(3, 2)) + b"\x00\x00")

    assert [a.item.type for a in read(tmp_path)] == ["PersonUpdated", "PersonUpdated", "PatientAdmitted"]


def test_cut_and_damaged_gzip_give_what_they_hold_and_a_refusal(tmp_path):
    many = b"\n".join(line(n, n) for n in range(30_000))
    packed = gzip.compress(many)
    write(tmp_path, cut_gz=packed[: len(packed) // 2], damaged_gz=packed[:2000] + b"\xff" * 50 + packed[2050:])

    cut, damaged = read(tmp_path / "cut.gz"), read(tmp_path / "damaged.gz")

    assert isinstance(cut[0].item, Event)
    assert cut[-1].item.reason == damaged[-1].item.reason == "file-unreadable"


def test_folders_are_read_by_name_and_hidden_files_passed_over(tmp_path):
    write(tmp_path, b__x_jsonl=line(1, 0), a__y_jsonl=line(2, 0), c_jsonl=line(3, 0))
    write(tmp_path / ".git", d_jsonl=line(4, 0))
    (tmp_path / ".hidden.jsonl").write_bytes(line(5, 0))

    assert ids(read(tmp_path)) == ["3", "2", "1"]


def test_file_that_is_no_feed_is_ignored_in_a_folder_and_refused_by_name(tmp_path):
    write(tmp_path, LICENSE=b"MIT License", a_jsonl=line(1, 0))

    licence = next(a.item for a in read(tmp_path) if isinstance(a.item, Ignored))
    (named,) = read(tmp_path / "LICENSE")

    assert licence.reason == "format-unknown"
    assert isinstance(named.item, Refused)
    assert named.item.reason == "format-unknown"


def test_missing_file_is_refused_and_an_empty_one_is_empty(tmp_path):
    write(tmp_path, empty_hl7=b"", blank_jsonl=b"\n\n")

    (missing,) = read(tmp_path / "nowhere.hl7")

    assert missing.item.reason == "file-unreadable"
    assert read(tmp_path) == []


def test_refused_lines_keep_their_place_and_their_line(tmp_path):
    write(
        tmp_path,
        a_jsonl=b"\n".join([b"nonsense", line(1, 10), b"{", line(2, 30, data={}), line(3, 40)]),
        b_jsonl=b"\n".join([line(8, 5), line(9, 20)]),
    )

    found = read(tmp_path)

    assert [a.where.rsplit("/", 1)[1] for a in found] == [
        "b.jsonl:1",
        "a.jsonl:1",
        "a.jsonl:2",
        "a.jsonl:3",
        "b.jsonl:2",
        "a.jsonl:4",
        "a.jsonl:5",
    ]
    assert [(a.arrival - START) // 60_000 for a in found] == [5, 10, 10, 10, 20, 30, 40]


def test_line_without_a_time_arrives_with_the_latest_before_it(tmp_path):
    write(tmp_path, a_jsonl=b"\n".join([line(1, 30), line(2, 5), b"nonsense"]), b_jsonl=line(3, 20))

    assert [(a.where[-1], (a.arrival - START) // 60_000) for a in read(tmp_path)] == [("1", 20), ("1", 30), ("2", 5), ("3", 30)]


def test_control_id_of_another_content_is_noted_and_a_repeat_is_not(tmp_path):
    write(tmp_path, a_hl7=hl7(1, 0) + hl7(1, 0) + hl7(2, 1), b_hl7=hl7(1, 2) + hl7(2, 1))

    found = read(tmp_path)

    assert [[n.reason for n in a.notes] for a in found] == [[], [], [], ["control-id-reused"], []]
    assert found[0].item.id == found[1].item.id != found[3].item.id


def test_message_of_several_events_arrives_as_each_of_them(tmp_path):
    write(tmp_path, a_hl7=adt("A01", person=pid(f30="Y")))

    assert [(a.item.type, a.where) for a in read(tmp_path)] == [
        ("PatientAdmitted", f"{tmp_path}/a.hl7:1"),
        ("PersonUpdated", f"{tmp_path}/a.hl7:1"),
    ]


def test_nothing_is_lost_from_a_thousand_files_with_few_descriptors(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    for number in range(300):
        (tmp_path / f"{number:04d}.hl7").write_bytes(hl7(number, number % 60))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        found = read(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert len(found) == 300
    assert all(isinstance(a.item, Event) for a in found)
    assert [a.arrival for a in found] == sorted(a.arrival for a in found)


def test_large_files_are_read_in_pieces_that_split_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_CHUNK", 37)
    write(tmp_path, a_hl7=b"".join(hl7(n, n) for n in range(40)), b_jsonl=b"\r\n".join(line(n, n) for n in range(40)))

    assert len(read(tmp_path)) == 80
    assert not any(isinstance(a.item, Refused) for a in read(tmp_path))


def test_pipe_is_read_like_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(line(1, 0) + b"\n" + line(2, 1)))
    writer.start()

    found = read(pipe)
    writer.join()

    assert ids(found) == ["1", "2"]


def test_samples_read_twice_are_the_same_to_the_last_field():
    first, second = read(SAMPLES), read(SAMPLES)

    assert first == second
    assert {a.where.rsplit(":", 1)[0] for a in first} >= {str(path) for path in SAMPLES.glob("*.hl7")}


def test_file_of_two_messages_cut_at_any_byte_gives_a_result(tmp_path):
    whole = adt("A01", f10="1") + adt("A03", f10="2")
    path = tmp_path / "a.hl7"
    for at in range(1, len(whole)):
        path.write_bytes(whole[:at])
        assert read(path)


def test_files_joined_without_a_line_end_between_them_lose_nothing(tmp_path):
    contents = [b"\xef\xbb\xbf" + adt("A01", f10=str(n)).rstrip(b"\r") for n in range(3)]
    write(tmp_path, a_hl7=b"".join(contents))

    found = read(tmp_path)

    # The last field may be cut, as at the end of a file. Nobody can know, so it is accepted and noted.
    assert [a.item.id for a in found] == [event(content).id for content in contents]
    assert [[n.reason for n in a.notes] for a in found] == [["end-missing"], ["end-missing"], []]


def test_message_builder_ends_each_segment():
    assert message("PID|1").endswith(b"\r")


@pytest.mark.parametrize(
    ("content", "said"),
    [({"resourceType": "Bundle", "entry": [1, 2]}, "FHIR"), (json.loads(line(1, 0)), "several lines"), ([1, 2], "several lines")],
)
def test_json_that_is_spread_over_several_lines_is_refused_once(tmp_path, content, said):
    (tmp_path / "spread.json").write_text(json.dumps(content, indent=2))

    (arrived,) = read_paths([tmp_path], SETTINGS)

    assert arrived.item.reason == "not-json"
    assert said in arrived.item.remedy


def test_broken_line_among_lines_is_refused_alone(tmp_path):
    (tmp_path / "events.jsonl").write_text("{\n" + line(1, 0).decode() + "\n")

    assert [type(arrived.item) for arrived in read_paths([tmp_path], SETTINGS)] == [Refused, Event]


def test_file_in_which_nothing_has_a_time_comes_last_and_at_the_time_of_the_last(tmp_path):
    write(tmp_path, LICENSE=b"do as you like\n", a_jsonl=b"\n".join([line(1, 0), line(2, 10)]), b_jsonl=b"not json\n")

    found = read(tmp_path)

    assert [type(a.item) for a in found] == [Event, Event, Ignored, Refused]
    assert [a.arrival - START for a in found] == [0, 600_000, 600_000, 600_000]
