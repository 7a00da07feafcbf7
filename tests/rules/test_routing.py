"""Who is notified: roles, care teams, consent, the fallback pool, and each party only once."""

from __future__ import annotations

from typing import Any

import pytest
from timeline import Timeline, millis

from agents.coordination.person.care_team import change_consent, may_notify
from agents.coordination.person.state import Person
from agents.coordination.rules.loading import DIRECTORY, load_directory
from agents.coordination.rules.world import World
from streams.contract import effects as out
from streams.contract.address import Address
from streams.contract.events import ConsentChanged, Millis, PersonKey

STAY = {"facility": "GENERAL", "visit": "V1"}
ADMITTED = "2026-07-01T09:00"
PCP = [{"role": "pcp", "party": {"role": "pcp", "practitioner": "8801"}}]


def notified(effects: list[Any]) -> list[str]:
    return [e.recipient for e in effects if isinstance(e, out.NotificationIssued)]


def suppressed(effects: list[Any]) -> list[tuple[str, str]]:
    return [(e.recipient, e.reason) for e in effects if isinstance(e, out.EffectSuppressed)]


def member(role: str, **party: str) -> dict[str, Any]:
    return {"role": role, "party": {"role": role, **party}}


def admit(t: Timeline, when: str = ADMITTED, **data: Any) -> list[Any]:
    return t.at(when, "PatientAdmitted", encounter=data.pop("encounter", STAY), **{"class": "IMP"}, **data)


def test_whole_care_team_is_notified_including_carers_and_social_care(story):
    members = [
        member("pcp", practitioner="8801"),
        member("community-nurse", practitioner="N1"),
        member("social-care", organization="meals-and-rides"),
        member("caregiver", caregiver="daughter"),
    ]
    story.at("2026-06-01T09:00", "CareTeamChanged", members=members, replace=True)
    assert notified(admit(story)) == [
        "pcp/practitioner:8801",
        "care-coordinator/pool:general-discharge",
        "community-nurse/practitioner:N1",
        "social-care/pool:meals-and-rides-visitors",
        "caregiver/caregiver:daughter",
    ]


def test_fallback_pool_is_notified_if_nobody_is_known_for_a_required_role(story):
    assert notified(admit(story)) == ["pcp/pool:unassigned", "care-coordinator/pool:general-discharge"]


def test_default_organisation_is_notified_for_an_unknown_facility(story):
    effects = admit(story, encounter={"facility": "SOMEWHERE ELSE", "visit": "X"}, members=PCP)
    assert notified(effects) == ["pcp/practitioner:8801", "care-coordinator/pool:elsewhere-coordinators"]


def test_care_team_outranks_what_a_message_mentions_whichever_comes_first(spine):
    for first in ("team", "message"):
        t = Timeline(asked=spine)
        if first == "team":
            t.at("2026-06-01T09:00", "CareTeamChanged", members=[member("pcp", practitioner="8802")])
            effects = admit(t, members=PCP)
        else:
            admit(t, members=PCP)
            t.at("2026-06-01T09:00", "CareTeamChanged", arrival="2026-07-01T09:30", members=[member("pcp", practitioner="8802")])
            effects = t.at("2026-07-01T10:00", "PatientDischarged", encounter=STAY, disposition="home")
        assert notified(effects)[0] == "pcp/practitioner:8802"


def test_team_member_outside_their_period_is_not_notified(story):
    members = [
        {**member("community-nurse", practitioner="N1"), "to": "2026-06-30T00:00:00-04:00"},
        {**member("community-nurse", practitioner="N2"), "from": "2026-07-02T00:00:00-04:00"},
        {**member("community-nurse", practitioner="N3"), "from": "2026-06-01T00:00:00-04:00", "to": "2026-08-01T00:00:00-04:00"},
    ]
    story.at("2026-06-01T09:00", "CareTeamChanged", members=members)
    assert [r for r in notified(admit(story)) if r.startswith("community-nurse")] == ["community-nurse/practitioner:N3"]


def test_party_in_two_roles_gets_one_notification(story):
    story.at(
        "2026-06-01T09:00", "CareTeamChanged", members=[member("community-nurse", practitioner="8801"), member("pcp", practitioner="8801")]
    )
    effects = admit(story)
    assert [r for r in notified(effects) if r.endswith("8801")] == ["pcp/practitioner:8801"]


def test_replacing_the_team_ends_all_other_memberships(story):
    story.at(
        "2026-06-01T09:00", "CareTeamChanged", members=[member("community-nurse", practitioner="N1"), member("pcp", practitioner="8801")]
    )
    story.at("2026-06-02T09:00", "CareTeamChanged", members=[member("pcp", practitioner="8802")], replace=True)
    # A team change that is older than that, and arrives later, changes nothing.
    story.at("2026-06-01T12:00", "CareTeamChanged", arrival="2026-06-03T09:00", members=[member("social-care", practitioner="S1")])
    assert notified(admit(story)) == ["pcp/practitioner:8802", "care-coordinator/pool:general-discharge"]


# ---- consent


@pytest.mark.parametrize("recipient", ["pcp/practitioner:8801", "practitioner:8801", "pcp", "8801", None])
def test_withheld_consent_is_a_suppression_and_not_the_fallback_pool(story, recipient):
    story.at("2026-06-01T09:00", "ConsentChanged", decision="deny", **({"recipient": recipient} if recipient else {}))
    effects = admit(story, members=PCP)
    assert ("pcp/practitioner:8801", "consent-withheld") in suppressed(effects)
    assert not any("unassigned" in r or "8801" in r for r in notified(effects))


def test_opting_out_stops_delivery_but_not_the_handoff(story):
    story.at("2026-06-01T09:00", "ConsentChanged", decision="deny")
    story.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=PCP)
    assert notified(story.effects) == []
    assert [(t.rule, t.owner) for t in story.tasks("TCM-1")] == [("TCM-1", "pcp/practitioner:8801")]
    story.until("2026-07-09T00:00")
    assert [g.state for g in story.gaps("TCM-1")][-1] == "open"
    assert notified(story.effects) == []


def test_newer_and_equally_specific_permission_overrides_a_refusal(story):
    story.at("2026-06-01T09:00", "ConsentChanged", decision="deny", recipient="practitioner:8801")
    story.at("2026-06-02T09:00", "ConsentChanged", decision="permit")
    assert ("pcp/practitioner:8801", "consent-withheld") in suppressed(admit(story, members=PCP))
    story.at("2026-07-01T09:30", "ConsentChanged", decision="permit", recipient="practitioner:8801")
    effects = story.at("2026-07-01T10:00", "PatientDischarged", encounter=STAY, disposition="home")
    assert "pcp/practitioner:8801" in notified(effects)


def test_sensitive_rule_notifies_only_with_its_own_permission():
    person = Person(PersonKey("p1.x"))
    ask = (Address("pcp", "practitioner", "8801"), "treatment", "substance-use")
    assert may_notify(person, *ask) == "consent-missing"
    change_consent(person, ConsentChanged("permit"), Millis(1))
    assert may_notify(person, *ask) == "consent-missing"
    change_consent(person, ConsentChanged("permit", sensitivity="substance-use"), Millis(2))
    assert may_notify(person, *ask) == "permitted"
    # The general refusal is newer than that permission. It holds until a newer permission.
    change_consent(person, ConsentChanged("deny"), Millis(3))
    assert may_notify(person, *ask) == "consent-withheld"
    change_consent(person, ConsentChanged("permit", sensitivity="substance-use"), Millis(4))
    assert may_notify(person, *ask) == "permitted"
    # A change that is older than the last one, and arrives later, changes nothing.
    change_consent(person, ConsentChanged("deny", sensitivity="substance-use"), Millis(3))
    assert may_notify(person, *ask) == "permitted"


# ---- the content of a notification


def test_only_the_accountable_recipient_is_asked_to_acknowledge_and_the_handoff_is_named(story):
    effects = admit(story, members=PCP)
    asks = {e.recipient: e for e in effects if isinstance(e, out.NotificationIssued)}
    (task,) = story.tasks("NOT-2")
    assert asks["pcp/practitioner:8801"].asks_acknowledgement
    assert asks["pcp/practitioner:8801"].handoff == task.handoff
    assert not asks["care-coordinator/pool:general-discharge"].asks_acknowledgement


def test_open_goals_go_with_an_admission_in_the_persons_own_words(story):
    story.at(
        "2026-06-01T09:00",
        "GoalUpdated",
        goal="G1",
        lifecycle_status="active",
        description="walk to the shop again",
        expressed_by="patient",
    )
    story.at("2026-06-01T09:00", "GoalUpdated", goal="G2", lifecycle_status="completed", description="sleep")
    notification = next(e for e in admit(story) if isinstance(e, out.NotificationIssued))
    assert [(g.goal, g.description, g.expressed_by) for g in notification.goals] == [("G1", "walk to the shop again", "patient")]


def test_cover_stands_in_from_its_first_day_to_its_last(tmp_path, spine):
    written = DIRECTORY.read_text().replace(
        'practitioners: ["8801", "8802", "8803"]',
        'practitioners: ["8801", "8802", "8803"]\n    cover: [{of: "practitioner:8801", by: "practitioner:8803", from: 2026-07-02, to: 2026-07-03}]',
    )
    (tmp_path / "directory.yaml").write_text(written)
    world = World(spine.catalogue, load_directory(tmp_path / "directory.yaml"), spine.valuesets)
    for when, who in (
        ("2026-07-01T23:59", "8801"),
        ("2026-07-02T00:00", "8803"),
        ("2026-07-03T23:59", "8803"),
        ("2026-07-04T00:00", "8801"),
    ):
        t = Timeline(asked=world)
        assert notified(admit(t, when, members=PCP))[0] == f"pcp/practitioner:{who}"


def test_why_names_rule_event_and_clock_in_local_time(story):
    effects = story.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home", members=PCP, id_="GENERAL-4711")
    (task,) = story.tasks("TCM-1")
    for words in (
        "TCM-1 version 1",
        "GENERAL-4711",
        "Thu 2 Jul 2026 15:00 EDT",
        "2 business days",
        "end of Tue 7 Jul 2026",
        "pcp (practitioner:8801)",
    ):
        assert words in task.why
    assert "discharged at GENERAL" in effects[0].why


@pytest.mark.parametrize("recipient", ["meals-and-rides", "organization:meals-and-rides", "social-care"])
def test_consent_withheld_from_an_organisation_holds_for_its_pools_and_people(story, recipient):
    story.at("2026-06-01T09:00", "CareTeamChanged", members=[member("social-care", organization="meals-and-rides")])
    story.at("2026-06-01T09:00", "ConsentChanged", decision="deny", recipient=recipient)
    effects = admit(story, members=PCP)
    assert ("social-care/pool:meals-and-rides-visitors", "consent-withheld") in suppressed(effects)


def test_calendar_is_that_of_the_organisation_that_the_care_team_names(story):
    seat = {"role": "pcp", "party": {"role": "pcp", "practitioner": "not in the directory", "organization": "lakeside-family"}}
    story.at("2026-06-01T09:00", "CareTeamChanged", members=[seat])
    story.at("2026-07-02T15:00", "PatientDischarged", encounter=STAY, disposition="home")
    assert story.only("TCM-1")["due"] == millis("2026-07-08T00:00", "America/Chicago")
