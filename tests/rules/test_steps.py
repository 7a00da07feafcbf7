"""When the steps of a rule are reached. Each step has its own amount and unit, whatever the clock of the rule is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from timeline import Timeline, millis

from agents.coordination.person.state import pack, unpack
from agents.coordination.rules.loading import RULES, CatalogueError, load_catalogue, load_world
from agents.coordination.rules.rule import COMMON_LADDER

STAY = {"facility": "GENERAL", "visit": "V1"}
TEAM = [{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}]


def write(folder: Path, **fields: object) -> Path:
    """A folder with TCM-1 only, changed by *fields*; None removes a field."""
    written = {**yaml.safe_load((RULES / "TCM-1.yaml").read_text()), **fields}
    (folder / "TCM-1.yaml").write_text(yaml.safe_dump({name: value for name, value in written.items() if value is not None}))
    return folder


def discharged(folder: Path) -> Timeline:
    """A discharge on Monday 6 July 2026 at 15:00, with the rules of *folder*."""
    t = Timeline(asked=load_world(folder))
    t.at("2026-07-06T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=TEAM)
    return t


def opened_or_moved(t: Timeline, rule: str, until: str) -> list[int]:
    """The instants at which a gap of *rule* was opened or got another owner."""
    t.until(until)
    return [gap.at for gap in t.gaps(rule) if gap.state == "open"]


@pytest.mark.parametrize("at", ["due + clock", "due+clock", "due - clock"])
def test_step_that_counts_in_the_clocks_own_unit_is_refused_with_what_to_write(tmp_path, at):
    with pytest.raises(
        CatalogueError, match=r"TCM-1: steps\[0\]\.at: .* no longer exists: write an amount and a unit, .* due \+ 1 business-day"
    ):
        load_catalogue(write(tmp_path, steps=[{"at": at}]))


def test_step_that_leaves_out_a_unit_of_the_rules_clocks_is_refused(tmp_path):
    with pytest.raises(CatalogueError, match=r"steps\[0\]\.at: has a moment for hour; the clocks of the rule need one for business-day"):
        load_catalogue(write(tmp_path, steps=[{"at": {"hour": "due + 1 hour"}}]))


def test_overlay_that_changes_the_unit_of_a_clock_is_refused_if_a_step_has_no_moment_for_it(tmp_path):
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays" / "slow.yaml").write_text("id: slow\nrules: {NOT-2: {cases: [], clock: {amount: 2, unit: day}}}\n")
    with pytest.raises(
        CatalogueError, match=r"overlays/slow\.yaml: overlay slow: rule NOT-2: steps\[\d\]\.at: .* add day: due, or day: due \+ 1 day"
    ):
        load_catalogue(tmp_path)


def test_unknown_unit_of_a_step_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(CatalogueError, match=r"bussiness-day is not a unit of a clock; .*; did you mean business-day\?"):
        load_catalogue(write(tmp_path, steps=[{"at": "due + 1 bussiness-day"}]))


def test_rule_of_24_hours_without_steps_moves_on_one_business_day_after_its_end_and_not_one_hour(tmp_path):
    assert COMMON_LADDER[-1].at == "due + 1 business-day"

    t = discharged(write(tmp_path, steps=None, clock={"amount": 24, "unit": "hour"}))

    assert opened_or_moved(t, "TCM-1", "2026-07-31T00:00") == [millis("2026-07-07T15:00", t.zone), millis("2026-07-09T00:00", t.zone)]


def test_overlay_that_changes_a_clock_moves_its_shares_and_due_and_leaves_the_amounts_of_its_steps(tmp_path):
    folder = write(tmp_path, steps=[{"at": "50%"}, {"at": "due"}, {"at": "due + 3 hour", "owner": "practice-manager"}])
    (folder / "overlays").mkdir()
    (folder / "overlays" / "slower.yaml").write_text(
        "id: slower\norganisations: [general]\nrules:\n  TCM-1: {clock: {amount: 4, unit: hour}}\n"
    )

    t = discharged(folder)

    assert opened_or_moved(t, "TCM-1", "2026-07-31T00:00") == [millis("2026-07-06T19:00", t.zone), millis("2026-07-06T22:00", t.zone)]
    assert [gap.at for gap in t.gaps("TCM-1") if gap.state == "due-soon"] == [millis("2026-07-06T17:00", t.zone)]


def test_acknowledgement_of_an_admission_escalates_one_hour_after_due_and_of_a_discharge_one_business_day_after():
    t = Timeline()
    t.at("2026-07-06T09:00", "PatientAdmitted", encounter=STAY, members=TEAM, **{"class": "IMP"})
    assert opened_or_moved(t, "NOT-2", "2026-07-20T00:00") == [millis("2026-07-06T13:00", t.zone), millis("2026-07-06T14:00", t.zone)]

    t = Timeline()
    t.at("2026-07-06T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=TEAM)
    assert opened_or_moved(t, "NOT-2", "2026-07-20T00:00") == [millis("2026-07-08T00:00", t.zone), millis("2026-07-09T00:00", t.zone)]


def test_last_step_scheduled_by_an_earlier_catalogue_is_still_taken_at_its_instant():
    """In earlier releases this was the third step of the discharge. States name it as the next step, with its own instant."""
    t = Timeline()
    t.at("2026-07-06T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=TEAM)
    t.until("2026-07-08T00:00")
    person = unpack(t._packed or b"")
    (handoff,) = (h for h in person.handoffs if h.rule == "NOT-2")
    assert handoff.next_step == 2
    handoff.next_at = millis("2026-07-09T00:00", t.zone)
    t._packed = pack(person)

    assert opened_or_moved(t, "NOT-2", "2026-07-20T00:00") == [millis("2026-07-08T00:00", t.zone), millis("2026-07-09T00:00", t.zone)]
