"""Codes and the groups to which they belong. A code that matches nothing is not guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import each

from agents.coordination.reference.risk import LACE_WEIGHTS, LaceInputs, lace
from agents.coordination.reference.valuesets import lace_comorbidities, load_valuesets

VALUESETS = load_valuesets()


def of(code: str, system: str = "icd10") -> set[str]:
    return set(VALUESETS.groups_of(system, code))


@each(
    ("code", "groups"),
    [
        ("F20.9", {"mental-illness"}),
        ("F32.1", {"mental-illness", "fmc/depression"}),
        ("F32.A", {"mental-illness", "fmc/depression"}),
        ("F32.81", {"mental-illness"}),
        ("F43.10", {"mental-illness"}),
        ("F70", set()),
        ("F03.90", {"lace/dementia", "fmc/alzheimers-or-related"}),
        ("F10.20", {"substance-use"}),
        ("F10.21", set()),
        ("F11.11", set()),
        ("F17.210", set()),
        ("T14.91XA", {"self-harm"}),
        ("T14.90", set()),
        ("R45.851", {"self-harm"}),
        ("R45.85", set()),
        ("X78.9", {"self-harm"}),
        ("X61", {"self-harm"}),
        ("X85", set()),
        ("T39.1X2A", {"self-harm"}),
        ("T39.1X1A", set()),
        ("T43.92XA", {"self-harm"}),
        ("T58.02XA", {"self-harm"}),
        ("T71.162A", {"self-harm"}),
        ("T40.1X1A", {"drug-overdose"}),
        ("T40.1X2A", {"self-harm"}),
        ("T40.1X5A", set()),
        ("T43.621A", {"drug-overdose"}),
        ("I50.9", {"fmc/heart-failure", "lace/congestive-heart-failure"}),
        ("I48.0", {"fmc/atrial-fibrillation"}),
        ("I48.92", set()),
        ("I48.3", set()),
        ("I21.4", {"fmc/acute-myocardial-infarction", "lace/previous-myocardial-infarction"}),
        ("I25.2", {"lace/previous-myocardial-infarction"}),
        ("G45.9", {"fmc/stroke-or-tia", "lace/cerebrovascular-disease"}),
        ("G45.4", {"lace/cerebrovascular-disease"}),
        ("J45.909", {"fmc/copd-or-asthma", "lace/chronic-pulmonary-disease"}),
        ("N18.4", {"fmc/chronic-kidney-disease", "lace/mild-liver-or-renal-disease"}),
        ("I13.0", {"fmc/heart-failure", "fmc/chronic-kidney-disease", "lace/congestive-heart-failure"}),
        ("E11.9", {"lace/diabetes-without-complications"}),
        ("E11.65", {"lace/diabetes-without-complications"}),
        ("E11.22", {"lace/diabetes-with-end-organ-damage", "fmc/chronic-kidney-disease"}),
        ("C50.911", {"lace/any-tumour"}),
        ("C44.91", set()),
        ("C78.00", {"lace/metastatic-solid-tumour"}),
        ("C7B.8", {"lace/metastatic-solid-tumour"}),
        ("B20", {"lace/aids"}),
        ("K72.90", {"lace/moderate-or-severe-liver-disease"}),
        ("M32.10", {"lace/connective-tissue-disease"}),
        ("Z00.0", set()),
        ("S72.001A", set()),
    ],
)
def test_code_belongs_to_the_groups_of_its_prefix(code, groups):
    assert of(code) == groups


@pytest.mark.parametrize("written", ["I50.9", "I509", " i50.9 ", "i509", "I50.9*", "I50.9†", "I50"])
def test_code_is_recognised_however_it_is_written(written):
    assert "fmc/heart-failure" in of(written)


@pytest.mark.parametrize(
    "system",
    [
        "icd10",
        "ICD-10",
        "ICD-10-CM",
        "I10",
        "I10C",
        "http://hl7.org/fhir/sid/icd-10",
        "http://hl7.org/fhir/sid/icd-10-cm",
        "urn:oid:2.16.840.1.113883.6.90",
    ],
)
def test_icd10_has_many_names(system):
    assert of("I50.9", system)


@pytest.mark.parametrize(
    "system", ["", "icd9", "I9C", "SNOMED-CT", "http://snomed.info/sct", "I10P", "ICD-10-PCS", "http://hl7.org/fhir/sid/icd-9-cm"]
)
def test_code_of_another_system_belongs_to_nothing(system):
    assert of("I50.9", system) == set()


@pytest.mark.parametrize("code", ["", "I", "I5", "50.9", "heart failure", "428.0", "I50.9 ; drop", "84114007", "I50.90000000", "É50"])
def test_malformed_code_belongs_to_nothing(code):
    assert of(code) == set()


@given(st.text(max_size=12), st.sampled_from(["icd10", "icd9", ""]))
def test_no_text_raises(code, system):
    assert VALUESETS.groups_of(system, code) <= VALUESETS.groups.keys()


def test_weights_are_those_of_the_score():
    written = {name.removeprefix("lace/"): group.weight for name, group in VALUESETS.groups.items() if name.startswith("lace/")}

    assert written == LACE_WEIGHTS


def test_conditions_that_fmc_lists_are_separate():
    assert sum(name.startswith("fmc/") for name in VALUESETS.groups) == 8


def test_codes_of_a_stay_give_the_comorbidities_of_its_score():
    groups = frozenset[str]().union(*(VALUESETS.groups_of("icd10", code) for code in ("I50.9", "E11.9", "E11.22", "J44.1")))

    comorbidities = lace_comorbidities(groups)

    assert comorbidities == {
        "congestive-heart-failure",
        "diabetes-without-complications",
        "diabetes-with-end-organ-damage",
        "chronic-pulmonary-disease",
    }
    assert lace(LaceInputs(length_days=0, emergency=False, comorbidities=comorbidities, emergency_visits=0)).low == 5


def test_every_group_says_its_source():
    assert all(len(VALUESETS.sources[name]) > 40 for name in VALUESETS.groups)


GOOD = "source: a test\ngroups:\n  - {name: one, title: One, prefixes: [A00]}\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("source: ''\ngroups: []\n", "source"),
        (GOOD.replace("A00", "00A"), "one: prefixes: '00A'"),
        (GOOD.replace("[A00]", "[]"), "one: prefixes: empty"),
        (GOOD.replace("title: One, ", ""), "title"),
        (GOOD.replace("prefixes", "prefix"), "prefix"),
        (GOOD.replace("[A00]", "[A00], except: [A00]"), "one: except: A00"),
        (GOOD + GOOD.partition("groups:\n")[2], "one: defined twice"),
        ("source: [unclosed", "parsing"),
    ],
)
def test_bad_file_is_refused_with_file_group_and_field(tmp_path, text, named):
    (tmp_path / "bad.yaml").write_text(text)

    with pytest.raises(ValueError, match=r"^bad\.yaml: ") as refused:
        load_valuesets(tmp_path)

    assert named in str(refused.value)


def test_folder_without_value_sets_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no value set"):
        load_valuesets(tmp_path)


def test_longest_prefix_decides(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "source: a test\ngroups:\n  - {name: one, title: One, prefixes: [A0, A01.11], except: [A01.1, 'A0?.2']}\n", encoding="utf-8"
    )
    one = load_valuesets(tmp_path)

    assert [bool(one.groups_of("icd10", code)) for code in ("A01", "A01.1", "A01.11", "A01.12", "A05.2", "A05.3")] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]
