"""Random stories of a few people: the product must agree with a model from the domain notes, and keep its guarantees.

PROOF_SEQUENCES is the number of stories (500), PROOF_SEED the seed. Both are printed at the start of the
run; the same values give the same stories. If a story fails, Hypothesis prints its shortest form.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test
from proof_calendar import DAY, HOUR, MINUTE
from proof_comparison import PEOPLE, Comparison, replace_arrival
from proof_model import CORE, PersonModel
from proof_run import Run

from streams.contract import effects as out
from streams.contract import events as facts
from streams.contract.events import EncounterRef, Member, Millis, Party, PersonKey, PersonRef, Practitioner

SEQUENCES = int(os.environ.get("PROOF_SEQUENCES", "500"))
SEED = int(os.environ.get("PROOF_SEED", "20260702"))
STEPS = 24

STARTS = {
    "before a holiday": 1_782_850_000_000,  # 2026-06-30
    "clocks go back": 1_793_300_000_000,  # 2026-10-29
    "the turn of the year": 1_797_940_000_000,  # 2026-12-22
    "clocks go on": 1_804_790_000_000,  # 2027-03-11
}
HOMES = {PEOPLE[0]: ("GENERAL", "MERCY"), PEOPLE[1]: ("GENERAL", "MERCY"), PEOPLE[2]: ("ST-BRIDES",)}
DOCTORS = {PEOPLE[0]: ("8801", "8811"), PEOPLE[1]: ("8801", "8811"), PEOPLE[2]: ("G7001",)}
TARGETS = {PEOPLE[0]: "heart-clinic", PEOPLE[1]: "heart-clinic", PEOPLE[2]: "thames-council"}

GOAL_MOVES = {
    "": ("active", "proposed", "accepted"),
    "proposed": ("active", "accepted", "rejected"),
    "accepted": ("active", "on-hold", "cancelled"),
    "active": ("on-hold", "completed", "cancelled"),
    "on-hold": ("active", "cancelled"),
}
"""A goal's lifecycle as senders report it. Its entries list the next statuses; a status without an entry is final."""

who = st.sampled_from((0, 0, 0, 1, 2))
any_of = st.integers(0, 11)
late = st.sampled_from((False,) * 5 + (True,))


def owner_as_party(owner: str) -> Party:
    role, _, address = owner.partition("/")
    kind, _, name = address.partition(":")
    if kind == "practitioner":
        return Party(role, practitioner=Practitioner(name))
    return Party(role, organization=name) if kind == "organization" else Party(role)


@dataclass
class SentStay:
    """An encounter as its hospital sees it. The hospital knows what it has sent, not what has arrived."""

    facility: str
    visit: str
    status: str
    class_: str

    @property
    def encounter(self) -> EncounterRef:
        return EncounterRef(self.facility, self.visit)


@dataclass
class Sender:
    """What the senders know of one person. They send only events that make sense to them."""

    stays: list[SentStay] = field(default_factory=list)
    referrals: dict[str, str] = field(default_factory=dict)
    goals: dict[str, str] = field(default_factory=dict)
    dead: bool = False


class Stories(Comparison):
    """One story: the steps that senders, coordinators and the clock may take."""

    def __init__(self) -> None:
        super().__init__()
        self.senders = {key: Sender() for key in PEOPLE}
        self.merged = False

    @initialize(start=st.sampled_from(sorted(STARTS)), hour=st.integers(0, 47), doctor=st.booleans(), known=st.booleans())
    def begin(self, start: str, hour: int, doctor: bool, known: bool) -> None:
        self.run = Run(STARTS[start] + hour * HOUR)
        for key in PEOPLE:
            if doctor:
                self.send(key, self.team(key, 0))
        if known:
            self.goal(0, 0, 0)
            self.admitted(0, 0, "IMP", held=False)

    # ---- time

    @rule(hours=st.sampled_from((1, 3, 5, 9, 14, 23, 25, 30, 49, 73, 120, 200, 500)), minute=st.sampled_from((0, 1, 59)))
    def time_goes_by(self, hours: int, minute: int) -> None:
        self.sound = False
        self.run.wait(self.run.now + hours * HOUR + minute * MINUTE)
        self.compare()

    @precondition(lambda self: self.bag)
    @rule(n=any_of)
    def something_late_arrives(self, n: int) -> None:
        self.arrives_late(self.bag.pop(n % len(self.bag)))

    @precondition(lambda self: self.run.log)
    @rule(n=any_of)
    def something_arrives_again(self, n: int) -> None:
        event = self.run.log[-1 - n % len(self.run.log)]
        if self.run.now - event.arrival > 20 * DAY:
            return
        self.sound = False
        arrival = Millis(self.run.now + 1000)
        self.run.wait(arrival - 1)
        before = {key: self.run.open_handoffs(key) for key in PEOPLE}
        effects = self.run.deliver(replace_arrival(event, arrival))
        assert not [e for e in effects if not isinstance(e, out.EffectSuppressed | out.EventForwarded | out.EventRefused)], effects
        assert before == {key: self.run.open_handoffs(key) for key in PEOPLE}, "a repeat changed an open handoff"
        self.compare()

    # ---- stays

    def stay(self, key: PersonKey, n: int, *status: str) -> SentStay | None:
        fit = [s for s in self.senders[key].stays if s.status in status]
        return fit[n % len(fit)] if fit else None

    @rule(p=who, n=any_of, class_=st.sampled_from(("EMER", "IMP", "IMP", "OBSENC", "AMB")), held=late)
    def admitted(self, p: int, n: int, class_: str, held: bool) -> None:
        key = PEOPLE[p]
        sender = self.senders[key]
        if sender.dead:
            return
        facility = HOMES[key][n % len(HOMES[key])]
        stay = SentStay(facility, f"V{self.count}", "in-progress", class_)
        sender.stays.append(stay)
        self.send(key, facts.PatientAdmitted(stay.encounter, class_, registration=class_ in {"EMER", "AMB"}), held=held)

    @rule(p=who, n=any_of)
    def planned(self, p: int, n: int) -> None:
        key = PEOPLE[p]
        stay = SentStay(HOMES[key][0], f"V{self.count}", "planned", "IMP")
        self.senders[key].stays.append(stay)
        self.send(key, facts.EncounterPlanned(stay.encounter, "IMP"))

    @rule(p=who, n=any_of, held=late)
    def planned_stay_begins(self, p: int, n: int, held: bool) -> None:
        key = PEOPLE[p]
        stay = self.stay(key, n, "planned")
        if stay and not self.senders[key].dead:
            stay.status = "in-progress"
            self.send(key, facts.PatientAdmitted(stay.encounter, "IMP"), held=held)

    @rule(p=who, n=any_of, again=st.booleans(), held=late)
    def emergency_becomes_admission(self, p: int, n: int, again: bool, held: bool) -> None:
        key = PEOPLE[p]
        stay = self.stay(key, n, "in-progress")
        if stay and stay.class_ in {"EMER", "OBSENC"}:
            stay.class_ = "IMP"
            data: Any = facts.PatientAdmitted(stay.encounter, "IMP") if again else facts.EncounterClassChanged(stay.encounter, "IMP")
            self.send(key, data, held=held)

    @rule(p=who, n=any_of, what=st.integers(0, 3), held=late)
    def stay_goes_on(self, p: int, n: int, what: int, held: bool) -> None:
        key = PEOPLE[p]
        stay = self.stay(key, n, "in-progress")
        if stay is None:
            return
        data: Any = (
            facts.PatientTransferred(stay.encounter, facts.Location(stay.facility, "ICU", "intensive")),
            facts.EncounterUpdated(stay.encounter, attending=Practitioner("7701", "Dr Lee")),
            facts.EncounterUpdated(stay.encounter, leave=True),
            facts.EncounterUpdated(stay.encounter, leave=False),
        )[what]
        self.send(key, data, held=held)

    @rule(
        p=who,
        n=any_of,
        to=st.sampled_from(("home",) * 4 + ("alt-home", "snf", "hospice", "other-hcf", "", "exp")),
        says_class=st.booleans(),
        held=late,
    )
    def discharged(self, p: int, n: int, to: str, says_class: bool, held: bool) -> None:
        key = PEOPLE[p]
        stay = self.stay(key, n, "in-progress")
        if stay:
            stay.status = "finished"
            self.senders[key].dead |= to == "exp"
            self.send(key, facts.PatientDischarged(stay.encounter, to, class_=stay.class_ if says_class else None), held=held)

    @rule(p=who, n=any_of, class_=st.sampled_from(("EMER", "IMP", "OBSENC")), hours=st.sampled_from((2, 26, 80)), held=late)
    def stay_from_door_to_door(self, p: int, n: int, class_: str, hours: int, held: bool) -> None:
        """A whole encounter at once, so that stories spend more steps on what follows it."""
        key = PEOPLE[p]
        if self.senders[key].dead:
            return
        self.admitted(p, n, class_, held)
        stay = self.senders[key].stays[-1]
        self.time_goes_by(hours, 0)
        stay.status = "finished"
        self.send(key, facts.PatientDischarged(stay.encounter, "home", class_=class_ if n % 2 else None), held=n == 5)

    @rule(p=who, n=any_of, held=late)
    def discharge_cancelled(self, p: int, n: int, held: bool) -> None:
        key = PEOPLE[p]
        stay = self.stay(key, n, "finished")
        if stay and not self.senders[key].dead:
            # Until the cancellation has arrived, no event that follows from it is sent, because it would look like a reused number.
            stay.status = "silent" if held else "in-progress"
            self.send(key, facts.DischargeCancelled(stay.encounter), held=held)

    @rule(p=who, n=any_of, held=late)
    def admission_cancelled(self, p: int, n: int, held: bool) -> None:
        key = PEOPLE[p]
        stay = self.stay(key, n, "in-progress", "planned")
        if stay:
            stay.status = "cancelled"
            self.send(key, facts.AdmissionCancelled(stay.encounter), held=held)

    @rule(p=who, n=any_of)
    def old_stay_is_loaded(self, p: int, n: int) -> None:
        key = PEOPLE[p]
        encounter = EncounterRef(HOMES[key][0], f"V{self.count}")
        self.send(key, facts.PatientAdmitted(encounter, "IMP"), ago=64 * DAY)
        self.send(key, facts.PatientDischarged(encounter, "home"), ago=60 * DAY)

    # ---- the person

    @precondition(lambda self: self.count >= 6)
    @rule(p=who)
    def dies(self, p: int) -> None:
        key = PEOPLE[p]
        self.senders[key].dead = True
        self.send(key, facts.PersonUpdated(deceased=True))

    @precondition(lambda self: self.count >= 8 and not self.merged)
    @rule(swap=st.booleans())
    def two_records_are_one_person(self, swap: bool) -> None:
        self.merged = True
        ends, goes_on = (PEOPLE[0], PEOPLE[1]) if swap else (PEOPLE[1], PEOPLE[0])
        self.send(ends, facts.PersonMerged(PersonRef(goes_on)))

    def team(self, key: PersonKey, n: int) -> facts.CareTeamChanged:
        doctor = DOCTORS[key][n % len(DOCTORS[key])]
        member = Member("pcp", Party("pcp", practitioner=Practitioner(doctor)))
        return facts.CareTeamChanged((member,), replace=True)

    @rule(p=who, n=any_of)
    def team_changes(self, p: int, n: int) -> None:
        self.send(PEOPLE[p], self.team(PEOPLE[p], n))

    @rule(p=who, decision=st.sampled_from(("permit", "deny")), whom=st.sampled_from(("pcp/practitioner:8801", None)))
    def consent_changes(self, p: int, decision: str, whom: str | None) -> None:
        self.send(PEOPLE[p], facts.ConsentChanged(decision, recipient=whom))

    # ---- referrals, goals, care

    @rule(p=who, service=st.sampled_from(("cardiology", "transport")), usual=st.booleans())
    def referred(self, p: int, service: str, usual: bool) -> None:
        key = PEOPLE[p]
        name = f"R{self.count}"
        self.senders[key].referrals[name] = service
        asks = Party("pcp", practitioner=Practitioner(DOCTORS[key][0]), organization="riverside-family" if p < 2 else "thames-surgery")
        goes_to = TARGETS[key] if usual or p == 2 else "lakeside-family"
        self.send(key, facts.ReferralRequested(name, asks, Party("referral-target", organization=goes_to), service))

    @rule(
        p=who,
        n=any_of,
        status=st.sampled_from(
            ("accepted", "accepted", "rejected", "in-progress", "on-hold", "completed", "cancelled", "entered-in-error")
        ),
        by=st.sampled_from(("target", "target", "requester")),
    )
    def referral_moves(self, p: int, n: int, status: str, by: str) -> None:
        key = PEOPLE[p]
        names = sorted(self.senders[key].referrals)
        if names:
            self.send(key, facts.ReferralStatusChanged(names[n % len(names)], status, by, reason="said"))

    @rule(p=who, n=any_of, status=st.sampled_from(("booked", "noshow", "cancelled", "fulfilled")))
    def appointment(self, p: int, n: int, status: str) -> None:
        key = PEOPLE[p]
        names = sorted(self.senders[key].referrals)
        if names:
            name = names[n % len(names)]
            self.send(key, facts.AppointmentChanged(f"A-{name}", status, Millis(self.run.now + 2 * DAY), referral=name))

    @rule(p=who, n=any_of, choice=any_of)
    def goal(self, p: int, n: int, choice: int) -> None:
        key = PEOPLE[p]
        name = f"G{p}{n % 2}"
        next_ = GOAL_MOVES.get(self.senders[key].goals.get(name, ""), ())
        if next_:
            status = self.senders[key].goals[name] = next_[choice % len(next_)]
            self.send(key, facts.GoalUpdated(name, status, "Walk to the shop again", "person"))

    @rule(p=who, n=any_of, by_activity=st.booleans(), held=late)
    def goal_is_reviewed(self, p: int, n: int, by_activity: bool, held: bool) -> None:
        key = PEOPLE[p]
        names = sorted(name for name, status in self.senders[key].goals.items() if status in {"active", "accepted"})
        if not names:
            return
        name = names[n % len(names)]
        if by_activity:
            self.care(key, "goal-review", held, based_on=(name,))
        else:
            self.send(key, facts.GoalUpdated(name, self.senders[key].goals[name], reviewed=True), held=held)

    def care(self, key: PersonKey, code: str, held: bool, **said: Any) -> None:
        at = Millis(self.run.now + 1000)
        party = Party("pcp", practitioner=Practitioner(DOCTORS[key][0]))
        self.send(key, facts.CareActivityRecorded(f"C{self.count}", code, "completed", at, party, at, **said), held=held)

    @rule(
        p=who,
        n=any_of,
        code=st.sampled_from(("interactive-contact", "face-to-face-visit", "medication-reconciliation", "admission-notice-filed")),
        names_stay=st.booleans(),
        held=late,
    )
    def cared_for(self, p: int, n: int, code: str, names_stay: bool, held: bool) -> None:
        key = PEOPLE[p]
        stay = self.stay(key, n, "in-progress", "finished") if names_stay else None
        # An encounter number that is unknown is the practice's own, and such care counts for every encounter.
        known = stay is not None and (stay.facility, stay.visit) in self.models.get(self.lives_on(key), PersonModel()).stays()
        self.care(key, code, held, encounter=stay.encounter if stay is not None and known else None)

    # ---- what coordinators do

    @rule(p=who, n=st.integers(0, 40), what=st.integers(0, 7), stranger=late)
    def somebody_responds(self, p: int, n: int, what: int, stranger: bool) -> None:
        key = self.lives_on(PEOPLE[p])
        tasks = self.run.open_handoffs(key)
        if not tasks:
            return
        task, h = tasks[n % len(tasks)]
        by = Party("social-care", organization="meals-and-rides") if stranger else owner_as_party(h.owner)
        if what == 6 and h.rule != "TCM-1":
            what = 7
        data: Any = (
            facts.TaskAcknowledged(task, by),
            facts.TaskClaimed(task, by),
            facts.TaskReassigned(task, by, Party("community-nurse", organization="riverside-family")),
            facts.TaskSnoozed(task, by, Millis(self.run.now + 6 * HOUR), "waiting for the letter"),
            facts.TaskDeclined(task, by, "not ours"),
            facts.TaskEscalated(task, by, "nobody answers"),
            facts.OutreachAttempted(task, by, "reached"),
            facts.TaskCompleted(task, by, "done"),
        )[what]
        model = self.models.get(key, PersonModel())
        stay_of = {s.number: s for s in self.run.person(key).encounters}
        item = (h.rule, self.subject(h, stay_of), h.due) if h.rule in CORE else None
        if item is not None:
            ends = (
                (isinstance(data, facts.TaskAcknowledged) and h.rule == "NOT-2" and (not stranger or "/pool:" in h.owner))
                or (isinstance(data, facts.TaskCompleted) and h.rule in {"DIS-1", "TRC-1", "MED-1"})
                or (isinstance(data, facts.OutreachAttempted) and h.rule == "TCM-1")
            )
            if ends:
                for r, subject, cause, due in model.items():
                    if (r, subject, due) == item:
                        model.done.add((r, subject, cause))
                        for notice in model.notices:
                            notice.over |= notice.id == cause
        self.send(key, data, source="urn:console")


def test_product_keeps_its_promises_in_random_stories_and_agrees_with_the_model() -> None:
    stories = seed(SEED)(Stories)
    try:
        run_state_machine_as_test(
            stories,
            settings=settings(
                max_examples=SEQUENCES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                print_blob=False,
                report_multiple_bugs=False,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
    except BaseException as failed:
        failed.add_note(f"PROOF_SEED={SEED} PROOF_SEQUENCES={SEQUENCES}")
        raise
