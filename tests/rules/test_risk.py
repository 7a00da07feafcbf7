"""Scores against tables computed by hand from the published definitions. Missing inputs are named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.coordination.reference.risk import (
    LACE_WEIGHTS,
    AtLeast,
    EncounterSpan,
    Flags,
    HospitalInputs,
    LaceInputs,
    comorbidity_points,
    follow_up_tier,
    haemoglobin_g_dl,
    hospital,
    lace,
    length_points,
    sodium_mmol_l,
    stay_days,
    utilisation_flags,
)
from streams.contract.events import Millis


def at(text: str) -> Millis:
    return Millis(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000))


@pytest.mark.parametrize(
    ("days", "points"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 4), (6, 4), (7, 5), (13, 5), (14, 7), (27, 7), (28, 7), (400, 7)]
)
def test_length_of_stay_gives_the_published_points(days, points):
    assert length_points(days) == points


@pytest.mark.parametrize(
    ("comorbidities", "points"),
    [
        ((), 0),
        (("previous-myocardial-infarction",), 1),
        (("congestive-heart-failure",), 2),
        (("dementia",), 3),
        (("cerebrovascular-disease", "peripheral-vascular-disease", "diabetes-without-complications"), 3),
        (("congestive-heart-failure", "chronic-pulmonary-disease"), 5),
        (("aids",), 5),
        (("metastatic-solid-tumour",), 5),
        (("diabetes-without-complications", "diabetes-with-end-organ-damage"), 2),
        (("diabetes-without-complications", "dementia"), 5),
        (tuple(LACE_WEIGHTS), 5),
    ],
)
def test_comorbidities_are_summed_to_three_and_give_five_from_four_on(comorbidities, points):
    assert comorbidity_points(comorbidities) == points


@pytest.mark.parametrize(
    ("inputs", "total", "band"),
    [
        ((0, False, (), 0), 0, "low"),
        ((1, True, (), 0), 4, "low"),
        ((2, True, (), 0), 5, "moderate"),
        ((3, True, ("dementia",), 0), 9, "moderate"),
        ((3, True, ("dementia",), 1), 10, "high"),
        ((6, True, ("congestive-heart-failure",), 2), 11, "high"),
        ((13, False, ("aids",), 4), 14, "high"),
        ((14, True, ("metastatic-solid-tumour",), 4), 19, "high"),
        ((60, True, ("metastatic-solid-tumour",), 30), 19, "high"),
    ],
)
def test_lace_with_every_input_is_one_number(inputs, total, band):
    days, emergency, comorbidities, visits = inputs

    score = lace(LaceInputs(length_days=days, emergency=emergency, comorbidities=comorbidities, emergency_visits=visits))

    assert (score.low, score.high, score.known, score.of) == (total, total, 4, 4)
    assert (score.band_low, score.band_high) == (band, band)
    assert score.words == f"all 4 inputs known; {total} ({band})"
    assert score.is_exact


def test_missing_inputs_of_lace_are_named_and_not_counted_as_zero():
    score = lace(LaceInputs(length_days=3, emergency=True, emergency_visits=0))

    assert (score.low, score.high, score.known) == (6, 11, 3)
    assert score.words == "3 of 4 inputs known; between 6 and 11 (moderate to high)"
    assert not score.is_exact


def test_score_without_any_input_is_the_whole_range():
    assert lace(LaceInputs()).words == "0 of 4 inputs known; between 0 and 19 (low to high)"
    assert hospital(HospitalInputs(), "derivation-2013").words == "0 of 7 inputs known; between 0 and 13 (low to high)"


def test_history_that_does_not_reach_back_gives_a_lower_bound():
    complete = LaceInputs(length_days=1, emergency=False, comorbidities=(), emergency_visits=1)
    short = LaceInputs(length_days=1, emergency=False, comorbidities=(), emergency_visits=AtLeast(1))
    full = LaceInputs(length_days=1, emergency=False, comorbidities=(), emergency_visits=AtLeast(4))

    assert (lace(complete).low, lace(complete).high) == (2, 2)
    assert (lace(short).low, lace(short).high, lace(short).known) == (2, 5, 3)
    assert (lace(full).low, lace(full).high, lace(full).known) == (5, 5, 4)


def test_unknown_further_comorbidities_give_a_lower_bound():
    score = lace(LaceInputs(length_days=1, emergency=False, comorbidities=("dementia",), comorbidities_complete=False, emergency_visits=0))

    assert (score.low, score.high, score.known) == (4, 6, 3)


def test_comorbidity_that_lace_does_not_know_is_refused_by_name():
    with pytest.raises(ValueError, match="gout"):
        comorbidity_points(("gout",))


@pytest.mark.parametrize("inputs", [LaceInputs(length_days=-1), LaceInputs(emergency_visits=-1), LaceInputs(emergency_visits=AtLeast(-2))])
def test_negative_count_is_refused(inputs):
    with pytest.raises(ValueError, match="must be 0 or more, not -"):
        lace(inputs)


@pytest.mark.parametrize(
    ("admitted", "discharged", "nights", "inclusive"),
    [
        ("2026-07-01T08:00", "2026-07-01T20:00", 0, 1),
        ("2026-07-01T23:50", "2026-07-02T04:30", 1, 2),
        ("2026-07-01T08:00", "2026-07-15T08:00", 14, 15),
        ("2026-02-27T08:00", "2026-03-01T08:00", 2, 3),
    ],
)
def test_days_of_a_stay_are_counted_either_way(admitted, discharged, nights, inclusive):
    assert stay_days(at(admitted), at(discharged), "UTC", "nights") == nights
    assert stay_days(at(admitted), at(discharged), "UTC", "inclusive") == inclusive


def test_days_of_a_stay_are_local_days():
    assert stay_days(at("2026-07-02T03:00"), at("2026-07-02T05:00"), "UTC") == 0
    assert stay_days(at("2026-07-02T03:00"), at("2026-07-02T05:00"), "America/New_York") == 1


def test_discharge_before_admission_has_no_length():
    assert stay_days(at("2026-07-02T08:00"), at("2026-07-01T08:00"), "UTC") is None


def full_hospital(**changed) -> HospitalInputs:
    inputs = {
        "haemoglobin": 13.0,
        "oncology_service": False,
        "sodium": 140.0,
        "procedure": False,
        "urgent": False,
        "admissions_prior_year": 0,
        "length_days": 2,
    }
    return HospitalInputs(**(inputs | changed))


@pytest.mark.parametrize(
    ("changed", "derivation", "international"),
    [
        ({}, 0, 0),
        ({"haemoglobin": 11.9}, 1, 1),
        ({"haemoglobin": 12.0}, 0, 0),
        ({"oncology_service": True}, 2, 2),
        ({"sodium": 134.9}, 1, 1),
        ({"sodium": 135.0}, 0, 0),
        ({"procedure": True}, 1, 1),
        ({"urgent": True}, 1, 1),
        ({"admissions_prior_year": 1}, 2, 0),
        ({"admissions_prior_year": 2}, 2, 2),
        ({"admissions_prior_year": 5}, 2, 2),
        ({"admissions_prior_year": 6}, 5, 5),
        ({"length_days": 4}, 0, 0),
        ({"length_days": 5}, 2, 2),
        (
            {
                "haemoglobin": 9.0,
                "oncology_service": True,
                "sodium": 120.0,
                "procedure": True,
                "urgent": True,
                "admissions_prior_year": 9,
                "length_days": 30,
            },
            13,
            13,
        ),
    ],
)
def test_hospital_gives_the_published_points_in_both_variants(changed, derivation, international):
    first, second = hospital(full_hospital(**changed), "derivation-2013"), hospital(full_hospital(**changed), "international-2016")

    assert (first.low, first.high) == (derivation, derivation)
    assert (second.low, second.high) == (international, international)
    assert (first.name, second.name) == ("HOSPITAL derivation-2013", "HOSPITAL international-2016")


@pytest.mark.parametrize(
    ("changed", "total", "band"),
    [
        ({"urgent": True, "sodium": 130, "length_days": 9}, 4, "low"),
        ({"urgent": True, "oncology_service": True, "length_days": 9}, 5, "intermediate"),
        ({"urgent": True, "admissions_prior_year": 9}, 6, "intermediate"),
        ({"admissions_prior_year": 9, "length_days": 9}, 7, "high"),
    ],
)
def test_hospital_has_its_own_bands(changed, total, band):
    score = hospital(full_hospital(**changed), "international-2016")

    assert (score.low, score.band_low) == (total, band)


def test_missing_inputs_of_hospital_are_named():
    score = hospital(
        full_hospital(haemoglobin=None, sodium=None, oncology_service=None, admissions_prior_year=9, urgent=True), "international-2016"
    )

    assert score.words == "4 of 7 inputs known; between 6 and 10 (intermediate to high)"


def test_units_that_are_not_known_give_no_value():
    assert haemoglobin_g_dl(11.5, "g/dL") == 11.5
    assert haemoglobin_g_dl(115, "g/L") == pytest.approx(11.5)
    assert haemoglobin_g_dl(7.2, "mmol/L") == pytest.approx(11.6, abs=0.01)
    assert haemoglobin_g_dl(11.5, "%") is None
    assert sodium_mmol_l(134, "meq/L") == 134
    assert sodium_mmol_l(134, "mg/dL") is None


NOW = at("2026-09-30T12:00")


def days_ago(days: float) -> Millis:
    return Millis(NOW - int(days * 86_400_000))


def emergency(days: float) -> EncounterSpan:
    return EncounterSpan("emergency", days_ago(days), days_ago(days - 0.2))


def test_third_emergency_visit_in_sixty_days_makes_a_high_utiliser():
    assert not utilisation_flags([emergency(1), emergency(60)], NOW).high_utiliser
    assert utilisation_flags([emergency(1), emergency(30), emergency(60)], NOW).high_utiliser
    assert not utilisation_flags([emergency(1), emergency(30), emergency(60.001)], NOW).high_utiliser
    assert utilisation_flags([EncounterSpan("emergency", NOW), emergency(30), emergency(60)], NOW).high_utiliser


@pytest.mark.parametrize("kind", ["emergency", "observation"])
def test_back_at_the_hospital_within_thirty_days_of_an_inpatient_admission_is_a_readmission_risk(kind):
    back = EncounterSpan(kind, NOW)

    assert utilisation_flags([back, EncounterSpan("inpatient", days_ago(30), days_ago(25))], NOW).names == ("readmission-risk",)
    assert utilisation_flags([back, EncounterSpan("inpatient", days_ago(30.001), days_ago(25))], NOW) == Flags()
    assert utilisation_flags([back, emergency(3)], NOW) == Flags()


def test_inpatient_again_within_thirty_days_is_a_recent_stay():
    assert utilisation_flags([EncounterSpan("inpatient", NOW), EncounterSpan("inpatient", days_ago(30), days_ago(25))], NOW).names == (
        "recent-inpatient-stay",
    )
    assert utilisation_flags([EncounterSpan("inpatient", NOW), EncounterSpan("inpatient", days_ago(31), days_ago(25))], NOW) == Flags()
    assert utilisation_flags([EncounterSpan("inpatient", NOW)], NOW) == Flags()


def test_flag_stays_while_the_stay_continues():
    stays = [EncounterSpan("inpatient", days_ago(40)), EncounterSpan("inpatient", days_ago(69), days_ago(60))]

    assert utilisation_flags(stays, NOW).recent_inpatient_stay


def test_at_hospital_within_thirty_days_of_leaving_a_nursing_facility_is_a_recent_snf_stay():
    snf = EncounterSpan("snf", days_ago(90), days_ago(30))

    assert utilisation_flags([EncounterSpan("inpatient", NOW), snf], NOW).recent_snf_stay
    assert utilisation_flags([EncounterSpan("emergency", NOW), snf], NOW).recent_snf_stay
    assert not utilisation_flags([EncounterSpan("inpatient", NOW), EncounterSpan("snf", days_ago(90), days_ago(31))], NOW).recent_snf_stay
    assert not utilisation_flags([EncounterSpan("inpatient", NOW), EncounterSpan("snf", days_ago(90))], NOW).recent_snf_stay
    assert not utilisation_flags([snf], NOW).recent_snf_stay


def test_no_stays_and_future_stays_give_no_flags():
    assert utilisation_flags([], NOW) == Flags()
    assert utilisation_flags([EncounterSpan("emergency", Millis(NOW + 1)), emergency(1), emergency(2)], NOW) == Flags()


@pytest.mark.parametrize(
    ("complexity", "inputs", "tier"),
    [
        ("high", None, "high"),
        ("moderate", None, "moderate"),
        (None, None, "moderate"),
        ("low", None, "low"),
        ("low", LaceInputs(length_days=14, emergency=True), "high"),
        ("low", LaceInputs(length_days=1, emergency=False, comorbidities=(), emergency_visits=0), "low"),
        ("low", LaceInputs(length_days=1, emergency=True), "moderate"),
        (None, LaceInputs(length_days=3, emergency=True, comorbidities=("dementia",), emergency_visits=1), "high"),
        (None, LaceInputs(length_days=3, emergency=True, comorbidities=("dementia",)), "moderate"),
    ],
)
def test_risk_selects_how_soon_a_person_is_seen(complexity, inputs, tier):
    assert follow_up_tier(complexity, None if inputs is None else lace(inputs)) == tier


@given(
    days=st.none() | st.integers(0, 60),
    emergency=st.none() | st.booleans(),
    comorbidities=st.none() | st.sets(st.sampled_from(sorted(LACE_WEIGHTS))),
    visits=st.none() | st.integers(0, 10),
    later=st.tuples(st.integers(0, 60), st.booleans(), st.sets(st.sampled_from(sorted(LACE_WEIGHTS))), st.integers(0, 10)),
)
def test_later_inputs_keep_the_score_within_the_earlier_range(days, emergency, comorbidities, visits, later):
    before = lace(LaceInputs(length_days=days, emergency=emergency, comorbidities=comorbidities, emergency_visits=visits))
    after = lace(
        LaceInputs(
            length_days=later[0] if days is None else days,
            emergency=later[1] if emergency is None else emergency,
            comorbidities=later[2] if comorbidities is None else comorbidities,
            emergency_visits=later[3] if visits is None else visits,
        )
    )

    assert before.low <= after.low == after.high <= before.high
    assert 0 <= before.low <= before.high <= 19
