"""The catalogue and the directory at start: errors are reported with file, rule, field and remedy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from timeline import Timeline, millis

from agents.coordination.rules.facts import FACTS, described
from agents.coordination.rules.facts.values import GROUPS, NUMBERS, SEVERAL, TRUTHS, VALUES
from agents.coordination.rules.loading import DIRECTORY, RULES, CatalogueError, files_of, load_catalogue, load_directory, load_world
from agents.coordination.rules.references import notes

STAY = {"facility": "GENERAL", "visit": "V1"}


def test_shipped_catalogue_and_directory_load_and_every_rule_says_its_source():
    world = load_world()
    assert {"DIS-1", "TCM-1", "NOT-2", "REF-1", "GOAL-2"} <= set(world.catalogue.rules)
    for rule in world.catalogue.rules.values():
        assert rule.source.strip()
        assert rule.about.strip()


def test_every_fact_of_the_vocabulary_is_described():
    assert all(text.endswith(".") for text in described().values())


def test_kind_of_every_fact_agrees_with_its_description():
    said = {name: "true or false" if text.startswith("Whether") else "" for name, text in described().items()}
    assert {name for name, kind in said.items() if kind} == TRUTHS
    assert {name for name, text in described().items() if text.startswith("How ")} | {"needed_by"} == NUMBERS
    assert FACTS.keys() >= TRUTHS | NUMBERS | SEVERAL | GROUPS | VALUES.keys()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(RULES / "TCM-1.yaml", tmp_path)
    return tmp_path


def change(folder: Path, **fields: Any) -> None:
    path = folder / "TCM-1.yaml"
    written = yaml.safe_load(path.read_text())
    for name, value in fields.items():
        if value is None:
            written.pop(name, None)
        else:
            written[name] = value
    path.write_text(yaml.safe_dump(written))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"closes": None}, ("TCM-1.yaml", "TCM-1", "closes", "no event can close it")),
        ({"closes": [{"event": "PatientCured"}]}, ("TCM-1", "closes[0].event", "PatientCured")),
        ({"closes": [{"event": "CareActivityRecorded", "where": {"mood": "good"}}]}, ("TCM-1", "closes[0].where.mood", "no such fact")),
        ({"closes": [{"event": "TaskCompleted", "where": {"code": "x"}}]}, ("TCM-1", "closes[0].where.code", "has no code")),
        ({"closes": [{"event": "CareActivityRecorded", "where": {"status": "compleated"}}]}, ("TCM-1", "compleated", "completed")),
        ({"closes": [{"event": "OutreachAttempted", "where": {"outcome": "raeched"}}]}, ("TCM-1", "outcome", "raeched", "no-answer")),
        ({"triggers": [{"event": "PatientDischarged", "where": {"setting": "inpatiant"}}]}, ("triggers[0].where.setting", "inpatiant")),
        ({"cases": [{"where": {"risk_tier": "hihg"}, "clock": {"amount": 1, "unit": "day"}}]}, ("cases[0].where.risk_tier", "hihg")),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"diagnosis_group": ["self-harm", "mental-ilness"]}}]},
            ("TCM-1.yaml", "triggers[0].where.diagnosis_group", "'mental-ilness'", "mental-illness"),
        ),
        ({"clock": {"amount": 2, "unit": "fortnight"}}, ("TCM-1.yaml", "TCM-1", "clock.unit", "fortnight")),
        ({"clock": {"amount": 0, "unit": "hour"}}, ("TCM-1", "clock", "leaves no time to act")),
        ({"steps": [{"at": "soon"}]}, ("TCM-1", "steps[0].at", "'soon' is not a moment")),
        ({"triggers": []}, ("TCM-1", "triggers", "nothing can open it")),
        ({"source": " "}, ("TCM-1", "source", "empty")),
        ({"colour": "red"}, ("TCM-1.yaml", "TCM-1", "colour")),
        ({"again": "sometimes"}, ("TCM-1.yaml", "again", "sometimes")),
        ({"until": "christmas"}, ("TCM-1", "until", "christmas")),
        ({"version": 0}, ("TCM-1", "version")),
        ({"triggers": [{"event": "PatientDischarge"}]}, ("triggers[0].event", "did you mean PatientDischarged", "rules codes")),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"seting": "emergency"}}]},
            ("triggers[0].where.seting", "no such fact (`carerelay rules facts` lists them all); did you mean setting"),
        ),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"setting": "emergancy"}}]},
            ("is never 'emergancy'; it is one of emergency", "did you mean emergency?"),
        ),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"age_years": {"at_leest": 6}}}]},
            ("triggers[0].where", "no such field: at_leest; the fields are not, at_least", "did you mean at_least?"),
        ),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"diagnosis_group": "mental-ilness"}}]},
            ("did you mean mental-illness", "`carerelay rules groups` lists them all"),
        ),
        (
            {"closes": [{"event": "CareActivityRecorded", "where": {"code": "interactive-contract"}}]},
            ("did you mean interactive-contact?", "`carerelay rules codes` lists them all"),
        ),
        ({"clock": {"amount": 2, "unit": "busines-day"}}, ("clock.unit", "did you mean business-day?", "open-hour")),
        ({"triggers": [{"event": "PatientDischarged", "where": {"via_emergency": "yes"}}]}, ("where.via_emergency", "write true or false")),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"age_years": "adult"}}]},
            ("where.age_years", "write for example {at_least: 2}"),
        ),
        ({"triggers": [{"event": "PatientDischarged", "where": {"disposition": True}}]}, ("where.disposition", "is text")),
        ({"triggers": [{"event": "PatientDischarged", "where": {"unit": {"at_least": 2}}}]}, ("where.unit", "is not a number")),
        ({"acountable": "pcp"}, ("no such field: acountable", "did you mean accountable?")),
        (
            {"urgency": "high"},
            (
                "TCM-1.yaml",
                "urgency: 'high' is not known; write one of routine, urgent, asap, stat",
            ),
        ),
        ({"urgency": "urgnt"}, ("did you mean urgent?",)),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"age_years": {"at_least": 75, "at_most": 70}}}]},
            ("where.age_years: is never at least 75 and at most 70; write {at_least: 70, at_most: 75}",),
        ),
        (
            {"subject": "referral"},
            ("triggers[0].event: PatientDischarged is about no referral, so it never opens", "rules codes subject", "ReferralRequested"),
        ),
        ({"subject": "notification"}, ("PatientDischarged is about no notification", "NotificationIssued")),
        (
            {"triggers": [{"event": "PatientDischarged", "where": {"referral_status": "accepted"}}]},
            ("triggers[0].where.referral_status: it is not known for PatientDischarged, so this can never hold", "ReferralStatusChanged"),
        ),
        ({"triggers": [{"event": "PatientDischarged", "where": {"reviewed": True}}]}, ("where.reviewed", "GoalUpdated")),
        ({"triggers": [{"event": "PatientDischarged", "where": {"planned": True}}]}, ("it is known for one of PatientAdmitted, ",)),
        (
            {"subject": "person", "triggers": [{"event": "PersonUpdated", "where": {"via_emergency": True}}]},
            ("it is not known for PersonUpdated",),
        ),
    ],
)
def test_bad_rule_is_refused_with_file_rule_and_field(folder, fields, says):
    change(folder, **fields)
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(folder)
    for words in says:
        assert words in str(refused.value)


def test_file_that_is_not_yaml_and_a_folder_without_rules_are_named(tmp_path):
    with pytest.raises(CatalogueError, match="no rule in this folder"):
        load_catalogue(tmp_path)
    (tmp_path / "BAD.yaml").write_text("id: [unclosed")
    with pytest.raises(CatalogueError, match=r"BAD\.yaml: is not YAML"):
        load_catalogue(tmp_path)
    with pytest.raises(CatalogueError, match="no such folder"):
        load_catalogue(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "fields",
    [
        {"urgency": "stat", "sensitivity": "PSY", "purpose": "TREAT"},
        {"sensitivity": "our-own-category"},
        {"subject": "goal", "triggers": [{"event": "PatientDischarged", "where": {"lifecycle_status": "active"}}]},
        {"subject": "referral", "triggers": [{"event": "PatientDischarged", "where": {"open_services": "cardiology"}}]},
        {"triggers": [{"event": "PatientDischarged", "where": {"planned": {"known": False}, "linked": False}}]},
        {"triggers": [{"event": "PatientDischarged", "where": {"age_years": {"at_least": 70, "at_most": 70}}}]},
    ],
)
def test_rule_whose_conditions_can_hold_is_not_refused(folder, fields):
    change(folder, **fields)
    assert list(load_catalogue(folder).rules) == ["TCM-1"]


def test_list_of_a_routing_row_is_closed_too(folder):
    (folder / "routing.yaml").write_text((RULES / "routing.yaml").read_text().replace("urgency: urgent", "urgency: high", 1))
    with pytest.raises(CatalogueError, match=r"^routing\.yaml: rule NTF-[A-Z-]+: urgency: 'high' is not known"):
        load_catalogue(folder)


@pytest.mark.parametrize(
    ("clock", "at", "late"),
    [
        ({"amount": 7, "unit": "day"}, "trigger + 7 day", False),
        ({"amount": 7, "unit": "day"}, "trigger + 8 day", True),
        ({"amount": 7, "unit": "day"}, "trigger + 192 hour", False),
        ({"amount": 7, "unit": "day"}, "trigger + 195 hour", True),
        ({"amount": 12, "unit": "hour"}, "trigger + 1 day", True),
        ({"amount": 2, "unit": "business-day"}, "trigger + 9 day", False),
        ({"amount": 2, "unit": "business-day"}, "trigger + 3 business-day", True),
    ],
)
def test_step_that_counts_from_the_trigger_and_is_after_due_is_noted(folder, clock, at, late):
    change(folder, clock=clock, steps=[{"at": at}, {"at": "due"}])
    assert notes(load_catalogue(folder), load_directory()) == (
        [f"rule TCM-1: steps[0].at: {at!r} is after the due time; write an earlier moment, or due + ..."] if late else []
    )


def test_step_that_an_overlay_moves_after_due_is_noted_with_the_overlays_file(folder):
    change(folder, clock={"amount": 7, "unit": "day"}, steps=[{"at": "trigger + 5 day"}, {"at": "due"}])
    overlay(folder, "rules: {TCM-1: {clock: {amount: 3, unit: day}}}")
    (note,) = notes(load_catalogue(folder), load_directory(), files_of(folder))
    assert note.startswith("overlays/x.yaml: overlay x: rule TCM-1: steps[0].at: 'trigger + 5 day' is after the due time")


def test_unusual_sensitivity_or_purpose_is_noted_because_a_consent_must_name_the_same_word(folder):
    change(folder, sensitivity="mental-heath", purpose="fun")
    sensitivity, purpose = notes(load_catalogue(folder), load_directory(), files_of(folder))
    assert sensitivity.startswith("TCM-1.yaml: rule TCM-1: sensitivity: 'mental-heath' is not a usual sensitivity")
    assert sensitivity.endswith("a consent counts only if it names the same word; did you mean mental-health?")
    assert purpose.startswith("TCM-1.yaml: rule TCM-1: purpose: 'fun' is not a usual purpose (`carerelay rules codes purpose` lists")


@pytest.mark.parametrize("name", ["COPY.yaml", "ZZZ.yaml"])
def test_same_rule_and_version_twice_is_refused_with_the_file_that_has_another_name(folder, name):
    shutil.copy(folder / "TCM-1.yaml", folder / name)
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(folder)
    assert str(refused.value) == f"{name}: id TCM-1 version 1 is also in TCM-1.yaml: choose another id, or raise the version"


def test_first_mistake_of_each_file_is_reported(folder):
    shutil.copy(RULES / "FMC.yaml", folder)
    for name, find, put in (("GOAL-1", "subject: goal", "subject: gaol"), ("REF-1", "ReferralRequested", "ReferralReqested")):
        (folder / f"{name}.yaml").write_text((RULES / f"{name}.yaml").read_text().replace(find, put))
    (folder / "REF-2.yml").write_text((RULES / "REF-2.yaml").read_text())
    overlay(folder, "rules: {FMC: {closes: []}, REF-1: {enabled: false}}")

    with pytest.raises(CatalogueError) as refused:
        load_catalogue(folder)

    said = str(refused.value).splitlines()
    assert [line.split(":")[0] for line in said] == ["REF-2.yml", "GOAL-1.yaml", "REF-1.yaml", "overlays/x.yaml"]
    assert said[0] == "REF-2.yml: is not read; rename it to REF-2.yaml"
    assert "no event can close it" in said[3]


@pytest.mark.parametrize("part", ["", "overlays", "valuesets"])
def test_file_with_an_ending_that_is_not_read_is_refused(folder, part):
    (folder / part).mkdir(exist_ok=True)
    shutil.copy(RULES / "valuesets" / "fmc.yaml", folder / part / "MINE.yml")
    if part == "valuesets":
        shutil.copytree(RULES / "valuesets", folder / "valuesets", dirs_exist_ok=True)
    with pytest.raises(CatalogueError, match=r"MINE\.yml: is not read; rename it to MINE\.yaml"):
        load_catalogue(folder)


@pytest.mark.parametrize(
    ("find", "put", "says"),
    [
        (
            "clock: {amount: 2, unit: business-day}",
            "clock: 48 hours",
            "clock: '48 hours' cannot be used here; write {amount: 48, unit: hour}",
        ),
        ("clock: {amount: 2, unit: business-day}", "until: needed_by", "the file: clock is missing; write clock: {amount: 48, unit: hour}"),
        ("amount: 2", "amount: two", "clock.amount: 'two' cannot be used here; write a number, for example 2"),
        ("{amount: 2, unit: business-day}", "{unit: day}", "clock: amount is missing; write amount: 2"),
        ("effective_from: 2013-01-01", "effective_from: soon", "effective_from: 'soon' cannot be used here; write 2026-07-01"),
        ("- {at: 50%}", "- {owner: next}", "steps[0]: at is missing; write at: due + 1 business-day"),
        ("accountable: pcp", "accountable:", "accountable: is empty; write care-coordinator"),
        ("profiles: [us]", "enabled: perhaps", "enabled: 'perhaps' cannot be used here; write true or false"),
        ("profiles: [us]", "profiles: us", "profiles: 'us' cannot be used here; write a list with a dash before each entry: - text"),
        (
            "  - event: Pat",
            "    event: Pat",
            "triggers: is not a list; write a list with a dash before each entry: - {event: PatientDischarged}",
        ),
        ("[{role: coordinator-lead, required: true}]", "[owner]", "steps[1].tells[0]: 'owner' cannot be used here; write {role: owner}"),
        ("where: {outcome: reached}", "where: ~", "closes[1].where: is empty; write {setting: emergency}"),
        ("outcome: reached", "outcome: ~", "closes[1].where.outcome: is empty; write a value, [several, values] or {at_least: 2}"),
        (
            "setting: [inpatient, observation, unknown]",
            "setting: inpatient, age_years: {at_least: seventy-five}",
            "triggers[0].where.age_years.at_least: 'seventy-five' cannot be used here; write a number, for example 2",
        ),
        (
            "setting: [inpatient, observation, unknown]",
            "setting: inpatient, age_years: {min: 75}",
            "triggers[0].where.age_years: no such field: min; the fields are not, at_least, at_most, known, or_unknown",
        ),
        (
            "effective_from: 2013-01-01",
            "clock: {amount: 1, unit: day}",
            "'clock' is written twice, in line 11 and in line 16: keep one of them",
        ),
        ("{at: due, ", "{at: {hour: due, dya: due}, ", "steps[2].at: 'dya' is not known; write one of business-day, day, hour, "),
    ],
)
def test_file_that_does_not_have_the_form_of_a_rule_is_refused_with_what_to_write(folder, find, put, says):
    path = folder / "TCM-1.yaml"
    assert find in path.read_text()
    path.write_text(path.read_text().replace(find, put, 1))
    with pytest.raises(CatalogueError, match=r"^TCM-1\.yaml: ") as refused:
        load_catalogue(folder)
    assert says in str(refused.value)


def test_empty_file_is_refused_as_empty(folder):
    (folder / "EMPTY.yaml").write_text("")
    with pytest.raises(CatalogueError, match=r"^EMPTY\.yaml: the file: is empty; it needs the fields id, version, title"):
        load_catalogue(folder)


def test_overlay_switches_a_rule_off_or_changes_its_numbers_where_it_applies(folder):
    (folder / "overlays").mkdir()
    (folder / "overlays" / "general.yaml").write_text(
        "id: general-is-quicker\norganisations: [general]\nrules:\n  TCM-1: {version: 2, clock: {amount: 1, unit: business-day}}\n"
    )
    (folder / "overlays" / "mercy.yaml").write_text("id: mercy-without\norganisations: [mercy]\nrules:\n  TCM-1: {enabled: false}\n")
    world = load_world(folder)
    for facility, versions in (("GENERAL", [2]), ("MERCY", []), ("RIVERSIDE-FAMILY", [1])):
        t = Timeline(asked=world)
        t.at("2026-07-02T15:00", "PatientDischarged", encounter={"facility": facility, "visit": "V"}, disposition="home")
        assert [task.rule_version for task in t.tasks("TCM-1")] == versions
        if versions == [2]:
            assert t.tasks("TCM-1")[0].due == millis("2026-07-07T00:00", t.zone)


def test_overlay_for_a_programme_holds_for_the_people_in_it(folder):
    (folder / "overlays").mkdir()
    (folder / "overlays" / "heart.yaml").write_text(
        "id: heart\nprogrammes: [heart-failure]\nrules:\n  TCM-1: {version: 3, clock: {amount: 24, unit: hour}}\n"
    )
    world = load_world(folder)
    t = Timeline(asked=world)
    member = {"role": "specialist", "party": {"role": "specialist", "practitioner": "9901"}, "programme": "heart-failure"}
    t.at("2026-06-01T09:00", "CareTeamChanged", members=[member])
    t.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home")
    assert t.tasks("TCM-1")[0].due == millis("2026-07-03T15:00", t.zone)


def overlay(folder: Path, text: str) -> Path:
    (folder / "overlays").mkdir(exist_ok=True)
    (folder / "overlays" / "x.yaml").write_text(f"id: x\n{text}\n")
    return folder


def test_overlays_alone_change_the_rules_that_come_with_the_product_and_without_a_place_do_so_everywhere(tmp_path):
    world = load_world(overlay(tmp_path, "rules: {NOT-1: {enabled: false}}"))

    for facility in ("GENERAL", "ST-BRIDES", "NOT-NAMED"):
        rules = world.catalogue.view(world.directory.of_facility(facility)).by_id
        assert "NOT-1" not in rules
        assert "NOT-2" in rules


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("profiles: [us]\nrules: {NOPE: {enabled: false}}", ("rule NOPE", "no such rule", "TCM-1")),
        ("rules: {TCM-1: {clock: {amount: 0, unit: hour}}}", ("rule TCM-1: clock:", "leaves no time to act")),
        ("rules: {TCM-1: {steps: [{at: soon}]}}", ("rule TCM-1: steps[0].at:", "not a moment")),
        ("rules: {TCM-1: {closes: []}}", ("rule TCM-1: closes:", "no event can close it")),
        ("rules: {TCM-1: {colour: red}}", ("rule TCM-1", "colour")),
        ("rules: {TCM-1: {clok: {amount: 1, unit: hour}}}", ("rule TCM-1", "no such field: clok", "did you mean clock?")),
        ("rules: {TMC-1: {enabled: false}}", ("did you mean TCM-1",)),
        ("organisation: [general]\nrules: {}", ("no such field: organisation;", "did you mean organisations?")),
    ],
)
def test_bad_overlay_is_refused_with_its_own_file_the_rule_and_the_field(folder, text, says):
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(overlay(folder, text))
    for words in ("overlays/x.yaml", *says):
        assert words in str(refused.value)


def test_profile_decides_which_rules_are_on():
    world = load_world()
    general = world.catalogue.view(world.directory.of_facility("GENERAL")).by_id
    brides = world.catalogue.view(world.directory.of_facility("ST-BRIDES")).by_id
    assert "TCM-1" in general
    assert "TCM-1" not in brides
    assert "MH72" in brides
    assert "MH72" not in general


def test_facility_that_nobody_named_has_the_rules_of_every_profile_until_one_is_picked():
    open_, english = load_world(), load_world(profile="england")
    every = open_.catalogue.view(open_.directory.of_facility("LEEDS")).by_id
    picked = english.catalogue.view(english.directory.of_facility("LEEDS")).by_id

    assert every.keys() == open_.catalogue.rules.keys()
    assert ("NHS-1" in picked, "TCM-1" in picked) == (True, False)
    assert english.directory.of_facility("LEEDS").zone == "Europe/London"
    assert english.directory.of_facility("GENERAL").profile == "us"


def test_profile_that_no_organisation_has_is_refused_with_those_that_there_are():
    with pytest.raises(CatalogueError, match=r"'wales'.*england.*us"):
        load_world(profile="wales")
    with pytest.raises(CatalogueError, match="did you mean england"):
        load_world(profile="englnd")


# ---- names that are not in the directory


def test_catalogue_and_directory_that_come_with_the_product_give_no_note():
    world = load_world()
    assert notes(world.catalogue, world.directory) == []


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        (
            {"accountable": "pcb"},
            "rule TCM-1: accountable: the directory does not know the role 'pcb' (`carerelay rules codes role` lists them all); did you mean pcp?",
        ),
        (
            {"steps": [{"at": "due", "owner": "coordinator-leed"}]},
            "rule TCM-1: steps[0].owner: the directory does not know the role 'coordinator-leed' (`carerelay rules codes role` lists them all); did you mean coordinator-lead?",
        ),
        (
            {"steps": [{"at": "due", "tells": [{"role": "ward-leads"}]}]},
            "rule TCM-1: steps[0].tells[0].role: the directory does not know the role 'ward-leads' (`carerelay rules codes role` lists them all); did you mean ward-lead?",
        ),
        (
            {"profiles": ["englnd"]},
            "rule TCM-1: profiles: the directory does not know the profile 'englnd'; it knows england, us; did you mean england?",
        ),
    ],
)
def test_name_in_a_rule_that_the_directory_does_not_know_is_noted_with_the_nearest(folder, fields, note):
    change(folder, **fields)
    assert note in notes(load_catalogue(folder), load_directory())


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("organisations: [genaral]", "organisations: the directory does not know the organisation 'genaral'; did you mean general?"),
        ("localities: [riverside]", "localities: the directory does not know the locality 'riverside'; did you mean riverside-county?"),
        ("profiles: [uk]", "profiles: the directory does not know the profile 'uk'; it knows england, us"),
    ],
)
def test_overlay_for_what_the_directory_does_not_know_is_noted(folder, text, note):
    overlay(folder, f"{text}\nrules: {{TCM-1: {{enabled: false}}}}")
    assert notes(load_catalogue(folder), load_directory())[0] == f"overlay x: {note}"


@pytest.mark.parametrize(
    ("find", "put", "note"),
    [
        (
            "{organization: home-nursing}",
            "{organization: home-nurses}",
            (
                "directory: organisations.general.roles.home-health.organization: "
                "the directory does not know the organisation 'home-nurses'; did you mean home-nursing?"
            ),
        ),
        (
            "pcp: practice-manager",
            "pcp: practise-manager",
            "directory: escalation.pcp: the directory does not know the role 'practise-manager' (`carerelay rules codes role` lists them all); did you mean practice-manager?",
        ),
    ],
)
def test_name_in_the_directory_that_it_does_not_know_itself_is_noted(tmp_path, find, put, note):
    (tmp_path / "directory.yaml").write_text(DIRECTORY.read_text().replace(find, put, 1))
    assert notes(load_catalogue(), load_directory(tmp_path / "directory.yaml")) == [note]


def test_open_handoff_keeps_the_version_and_deadline_that_it_was_opened_with(folder, tmp_path):
    old = load_world(folder)
    t = Timeline(asked=old)
    t.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home")
    due = t.only("TCM-1")["due"]

    shutil.copy(folder / "TCM-1.yaml", folder / "TCM-1-version-1.yaml")
    change(
        folder,
        version=2,
        clock={"amount": 1, "unit": "hour"},
        closes=[{"event": "CareActivityRecorded", "where": {"code": "face-to-face-visit"}}],
    )
    t.world = load_world(folder)
    assert t.only("TCM-1")["due"] == due
    t.at(
        "2026-07-03T10:00",
        "CareActivityRecorded",
        activity="A",
        code="interactive-contact",
        status="completed",
        start="2026-07-03T10:00:00-04:00",
        performer={"role": "pcp"},
    )
    assert t.only("TCM-1")["closure"] == "met"


def test_handoff_of_a_rule_that_left_the_catalogue_can_still_be_completed_by_a_person(folder, spine):
    t = Timeline(asked=load_world(folder))
    t.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home")
    shutil.copy(RULES / "DIS-1.yaml", folder)
    (folder / "TCM-1.yaml").unlink()
    t.world = load_world(folder)
    t.until("2026-07-20T00:00")
    t.at("2026-07-20T09:00", "TaskCompleted", task=t.tasks("TCM-1")[0].handoff, by={"role": "care-coordinator"}, outcome="reached")
    assert t.only("TCM-1")["closure"] == "met-late"


# ---- the directory


@pytest.mark.parametrize(
    ("find", "put", "says"),
    [
        (
            "zone: Europe/London",
            "zone: Europe/Londres",
            ("organisations.st-brides", "Europe/Londres", "did you mean Europe/London?", "America/New_York"),
        ),
        (
            "default_organisation: elsewhere",
            "default_organisation: elsewere",
            ("default_organisation", "elsewere", "did you mean elsewhere?"),
        ),
        (
            "fallback_pool: unassigned",
            "falback_pool: unassigned",
            (
                "no such field: falback_pool",
                "did you mean fallback_pool?",
            ),
        ),
        ("fallback_pool: unassigned", "fallback_pool: ''", ("fallback_pool", "name the pool that is notified")),
        ("{pool: mercy-ward}", "{pool: mercy-ward, practitioner: x}", ("organisations.mercy.roles.attending", "exactly one")),
        ("facilities: [MERCY, MERCY-ED]", "facilities: [MERCY, GENERAL]", ("organisations.mercy.facilities", "GENERAL", "general")),
        ("coordinator-lead: operations", "coordinator-lead: pcp", ("escalation", "comes back to pcp")),
        ("holidays: {country: GB, subdivision: ENG}", "holidays: {country: XX}", ("XX",)),
        (
            'practitioners: ["9901"]',
            'practitioners: ["9901"]\n    cover: [{of: ann, by: "practitioner:2", from: 2026-01-01, to: 2026-01-02}]',
            ("cover[0].of", "practitioner:8801"),
        ),
        ("version: 1", "version: one", ("directory.yaml", "version")),
        ("practitioner:8801: Dr Okonjo", "staff:8801: Dr Okonjo", ("names", "staff:8801", "practitioner:8801: Dr Okonjo")),
    ],
)
def test_bad_directory_is_refused_with_the_path_and_how_to_mend_it(tmp_path, find, put, says):
    text = DIRECTORY.read_text()
    assert find in text
    (tmp_path / "directory.yaml").write_text(text.replace(find, put, 1))
    with pytest.raises(CatalogueError) as refused:
        load_directory(tmp_path / "directory.yaml")
    for words in ("directory.yaml", *says):
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("pcp/practitioner:8802", "Dr Lindgren (pcp)"),
        ("care-coordinator/pool:riverside-coordinators", "Riverside Family Practice (care coordinator)"),
        ("community-nurse/organization:thames-surgery", "Thames Street Surgery (community nurse)"),
        ("coordinator-lead/pool:unassigned", "Unassigned pool (coordinator lead)"),
        ("pcp/practitioner:12377H87", "pcp 12377H87"),
        ("caregiver/caregiver:C268", "caregiver C268"),
    ],
)
def test_address_is_called_by_its_name_or_its_organisation_and_else_by_role_and_id(address, name):
    assert load_directory().name_of(address) == name
