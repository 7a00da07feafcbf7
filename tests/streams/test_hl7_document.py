"""The documentation for hospitals agrees with the code of intake."""

from pathlib import Path

from streams.intake.hl7 import tables
from streams.intake.reading import IGNORED, NOTES, REFUSED

DOCUMENT = (Path(__file__).parents[2] / "docs" / "hl7.md").read_text("utf-8")


def test_every_reason_is_described_in_the_words_of_its_table():
    for table in (REFUSED, IGNORED, NOTES):
        for reason, words in table.items():
            assert f"| `{reason}` | {words.replace('|', chr(92) + '|')} |" in DOCUMENT


def test_every_trigger_that_makes_an_event_is_described():
    for trigger in (
        *tables.ADMIT,
        *tables.PLAN,
        *tables.PERSON,
        *tables.MERGE,
        *tables.CANCEL_ADMISSION,
        *tables.LEAVE,
        "A02",
        "A03",
        "A06",
        "A07",
        "A08",
        "A12",
        "A13",
    ):
        assert trigger in DOCUMENT, trigger
    for trigger in tables.IGNORED_ADT:
        assert f"{trigger} " not in DOCUMENT
