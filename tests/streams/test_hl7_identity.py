"""Identity in ADT messages: ids of events, the identifier of a person, and merges."""

import random

import pytest
from hl7_building import SAMPLES, SECRET, SETTINGS, adt, event, evn, header, message, notes, pid, pv1, read, segment

from streams.contract import events as e
from streams.contract.person_key import person_key
from streams.intake.hl7.framing import split_messages
from streams.intake.hl7.mapping import read_message
from streams.intake.settings import IdentifierPreference, IntakeSettings

# ---- identity


def test_second_event_of_a_message_has_an_id_of_its_own_and_both_are_stable():
    content = adt("A01", person=pid(f30="Y"))

    first, second = read(content).items

    assert first.id != second.id
    assert [item.id for item in read(content).items] == [first.id, second.id]


def test_id_is_of_sender_control_id_and_content():
    ids = {
        event(content).id
        for content in (adt("A01"), adt("A01", f10="2"), adt("A01", f3="X"), adt("A01", f4="Y"), adt("A01", visit=pv1(f2="E")))
    }

    assert len(ids) == 5
    assert event(adt("A01")).id == "2cf909f7-49e8-5dd3-8d38-275f20dc14e3"  # Written out, because ids must never change.


def test_repeated_and_shuffled_messages_give_the_same_events():
    contents = [path.read_bytes() for path in sorted(SAMPLES.glob("*.hl7"))]
    expected = {item for content in contents for item in map(key_of, read(content).items)}
    shuffled = contents * 2
    random.Random(4).shuffle(shuffled)

    found = {key_of(item) for raw in split_messages([b"\n".join(shuffled)]) for item in read_message(raw, SETTINGS).items}

    assert found == expected


def key_of(item):
    return type(item).__name__, item.source, item.id


# ---- which identifier


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("1^^^GEN^MR~2^^^NATION^NI", ("NATION", "2")),
        ("1^^^GEN^MR~2^^^STATE^NNCAN", ("STATE", "2")),
        ("1^^^GEN^MR~2^^^ENTERPRISE MPI&9.9&ISO^PI", ("ENTERPRISE MPI", "2")),
        ("1^^^GEN^MR~2^^^GEN^PI", ("GEN", "1")),
        ("9^^^OTHER^MR~1^^^GENERAL^MR", ("GENERAL", "1")),
        ("1^^^&1.2.3&ISO^MR", ("1.2.3", "1")),
        ("1^5^M11^^MR^Special Hospital", ("Special Hospital", "1")),
        ("1", ("GENERAL", "1")),
        ("123-45-6789^^^USSSA^SS~1^^^GEN^MR", ("GEN", "1")),
        ("123456789^^^^^USSSA^~1^^^ADT1^GOOD HEALTH HOSPITAL", ("ADT1", "1")),
        ("123456789^^^USSSA^MR~1^^^GEN^XX", ("GEN", "1")),
        ("000000^^^NAT^NI~1^^^GEN^MR", ("GEN", "1")),
        ("UNKNOWN^^^GEN^MR~1^^^GEN^PI", ("GEN", "1")),
        ("55^^^GEN^AN~1^^^GEN^XX", ("GEN", "1")),
        ("  1  ^^^ GEN ^mr", ("GEN", "1")),
    ],
)
def test_identifier_is_chosen_by_the_list_of_preferences(field, expected):
    assert event(adt("A11", person=pid(f3=field))).person == person_key(SECRET, *expected)


def test_order_of_repetitions_does_not_change_the_key():
    parts = ["1^^^GENERAL^MR", "2^^^NATION^NI", "3^^^USSSA^SS", "4^^^OTHER^MR", "5^^^GENERAL^PI"]

    keys = {event(adt("A11", person=pid(f3="~".join(random.Random(n).sample(parts, 5))))).person for n in range(20)}

    assert keys == {person_key(SECRET, "NATION", "2")}


def test_preferences_are_a_setting_and_may_name_even_what_is_barred():
    content = adt("A11", person=pid(f3="1^^^GENERAL^MR~2^^^USSSA^SS"))

    own = IntakeSettings(SECRET, identifiers=(IdentifierPreference(type="SS"), IdentifierPreference(type="MR")))
    other = IntakeSettings(SECRET, identifiers=(IdentifierPreference(authority="GEN*"),))

    assert event(content, own).person == person_key(SECRET, "USSSA", "2")
    assert event(content, other).person == person_key(SECRET, "GENERAL", "1")


def test_authority_can_be_renamed_by_setting():
    settings = IntakeSettings(SECRET, authorities={"GENERAL|1": "GENERAL-MRN"})

    assert event(adt("A11", person=pid(f3="5^^^1^MR")), settings).person == person_key(SECRET, "GENERAL-MRN", "5")


def test_pid_2_and_pid_4_are_used_only_where_pid_3_has_nothing():
    both = adt("A11", person=pid(f2="2^^^X^MR", f3="1^^^GENERAL^MR"))
    older = adt("A11", person=pid(f2="2^^^X^MR", f3=""))
    oldest = adt("A11", person=pid(f3="9^^^USSSA^SS", f4="4^^^X^MR"))

    assert event(both).person == person_key(SECRET, "GENERAL", "1")
    assert event(older).person == person_key(SECRET, "X", "2")
    assert event(oldest).person == person_key(SECRET, "X", "4")
    assert "identifier-fallback" in notes(older)


# ---- merges


def merge(*groups, trigger="A40"):
    return message(header(f"ADT^{trigger}"), evn(), *groups)


@pytest.mark.parametrize("trigger", ["A18", "A30", "A34", "A36", "A39", "A40"])
def test_merge_ends_the_person_of_mrg_in_the_person_of_pid(trigger):
    found = event(merge(pid(), segment("MRG", f1="66^^^GENERAL^MR"), trigger=trigger))

    assert found.person == person_key(SECRET, "GENERAL", "66")
    assert found.data == e.PersonMerged(e.PersonRef(person_key(SECRET, "GENERAL", "77001")))


def test_merge_takes_the_identifier_of_the_survivors_authority():
    found = event(merge(pid(f3="1^^^GEN^MR~2^^^NATION^NI"), segment("MRG", f1="8^^^GEN^MR~9^^^NATION^NI")))

    assert found.person == person_key(SECRET, "NATION", "9")
    assert found.data.into.key == person_key(SECRET, "NATION", "2")


def test_merge_without_authority_is_within_the_survivors():
    content = merge(pid(), segment("MRG", f1="66"))

    assert event(content).person == person_key(SECRET, "GENERAL", "66")
    assert "merge-authority-assumed" in notes(content)


def test_merge_of_another_list_is_keyed_as_its_own_messages_were():
    found = event(merge(pid(f3="1^^^GEN^MR~2^^^NATION^NI"), segment("MRG", f1="8^^^GEN^MR")))

    assert found.person == event(adt("A11", person=pid(f3="8^^^GEN^MR"))).person
    assert found.data.into.key == person_key(SECRET, "NATION", "2")


def test_merge_of_several_pairs_is_one_event_each_with_ids_of_their_own():
    pairs = [part for n in range(3) for part in (pid(f3=f"{n}1^^^GEN^MR"), segment("MRG", f1=f"{n}2^^^GEN^MR"), pv1())]

    items = read(merge(*pairs)).items

    assert [item.person for item in items] == [person_key(SECRET, "GEN", f"{n}2") for n in range(3)]
    assert len({item.id for item in items}) == 3


def test_valid_pairs_of_a_merge_are_accepted_and_the_others_refused():
    items = read(
        merge(pid(), segment("MRG", f1="66^^^GENERAL^MR"), pid(f3="2^^^GENERAL^MR"), pid(f3="3^^^GENERAL^MR"), segment("MRG", f3="ACC"))
    ).items

    assert [type(item).__name__ for item in items] == ["Event", "Refused", "Refused"]
    assert [(item.reason, item.segment) for item in items[1:]] == [("segment-missing", "MRG"), ("identifier-missing", "MRG")]


def test_merge_with_itself_is_ignored_and_one_without_pid_or_mrg_refused():
    assert read(merge(pid(), segment("MRG", f1="77001^^^GENERAL^MR"))).items[0].reason == "merged-with-itself"
    assert read(merge(pid())).items[0].segment == "MRG"
    assert read(merge(segment("MRG", f1="1^^^GEN^MR"))).items[0].segment == "PID"
    assert read(merge()).items[0].segment == "PID"
