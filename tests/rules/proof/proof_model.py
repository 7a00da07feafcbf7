"""A model of what must be open, written from the domain notes alone: the states of an encounter and seven rules.

An independent second implementation. It keeps the delivered facts, and computes everything from them each time, in the order
in which they happened. The product keeps a state and changes it in the order of arrival. So the two do not share mistakes.
Must not import a rule, a calendar or a table of the product.

Rules: DIS-1, NOT-2, TCM-1, REF-1, GOAL-2, TRC-1, MED-1. The calendars are in `proof_calendar.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from proof_calendar import CHICAGO, DAY, LONDON, NEW_YORK, business_days_after, days_after

from streams.contract import events as facts

CORE = frozenset({"DIS-1", "NOT-2", "TCM-1", "REF-1", "GOAL-2", "TRC-1", "MED-1"})

FACILITIES = {"GENERAL": NEW_YORK, "MERCY": CHICAGO, "ST-BRIDES": LONDON}
ORGANISATIONS = {"riverside-family": NEW_YORK, "heart-clinic": NEW_YORK, "lakeside-family": CHICAGO, "thames-council": LONDON}
PRACTICE_OF = {"8801": "riverside-family", "8811": "lakeside-family", "G7001": "thames-surgery"}
ORGANISATIONS["thames-surgery"] = LONDON

SETTING = {"EMER": "emergency", "IMP": "inpatient", "OBSENC": "observation", "AMB": "outpatient", "": "unknown"}
GROUP = {
    "home": "community",
    "alt-home": "community",
    "snf": "facility",
    "hosp": "hospice",
    "other-hcf": "hospital",
    "exp": "died",
    "hospice": "hospice",
    "": "unknown",
}
GOING_IN = frozenset({"inpatient", "observation"})
GOING_HOME = frozenset({"community", "unknown"})

MOVES = {
    "requested": {"accepted", "rejected", "cancelled"},
    "accepted": {"in-progress", "on-hold", "cancelled", "completed", "failed"},
    "in-progress": {"completed", "failed", "cancelled", "on-hold"},
    "on-hold": {"in-progress", "cancelled", "completed", "failed"},
}
"""SDOH Clinical Care, the referral Task: the allowed next statuses of each status. Any status may become entered-in-error."""
SIDES = {"cancelled": {"requester", "target"}, "entered-in-error": {"requester"}}
GIVEN_UP = frozenset({"rejected", "cancelled", "failed", "entered-in-error"})
ENDED = GIVEN_UP | {"completed"}

Subject = tuple[str, ...]
Item = tuple[str, Subject, int]
"""An open handoff: rule, subject, due."""


@dataclass(frozen=True)
class Fact:
    """A delivered event. `t` is when it happened, as far as that is believed; `notifies` is False for history."""

    id: str
    t: int
    arrival: int
    seq: int
    data: Any
    notifies: bool

    @property
    def stay(self) -> Subject | None:
        encounter = getattr(self.data, "encounter", None)
        return None if encounter is None else (encounter.facility, encounter.visit)


@dataclass
class Notice:
    """A notification that was issued and asks for an acknowledgement."""

    id: str
    cause: str
    rule: str
    stay: Subject
    due: int
    over: bool = False


@dataclass
class StayView:
    """An encounter according to its facts, whatever the order of their arrival."""

    status: str | None
    arrivals: list[Fact]
    """Admissions and changes of class that were not cancelled."""
    discharge: Fact | None
    """The last discharge that was not cancelled."""
    discharges: list[Fact]
    said: list[Fact]

    def setting(self, at: Fact) -> str:
        """The class of the encounter at the time of a fact. A class in the fact itself takes precedence."""
        own = getattr(at.data, "class_", None)
        if own:
            return SETTING[own]
        earlier = [f.data.class_ for f in self.said if f.t <= at.t and getattr(f.data, "class_", None)]
        return SETTING[earlier[-1]] if earlier else "unknown"

    def group(self) -> str:
        assert self.discharge is not None
        since = self.discharges[0].t
        words = [
            f.data.disposition
            for f in self.said
            if f.t >= since
            and getattr(f.data, "disposition", None)
            and (f in self.discharges or isinstance(f.data, facts.EncounterUpdated))
        ]
        return GROUP[words[-1] if words else ""]


@dataclass
class PersonModel:
    """One person: the facts, and what was fixed at the opening of each handoff (its due, and whether it was completed by hand)."""

    facts: list[Fact] = field(default_factory=list)
    opened: dict[tuple[str, Subject, str], int] = field(default_factory=dict)
    zones: dict[tuple[Subject, str], str] = field(default_factory=dict)
    done: set[tuple[str, Subject, str]] = field(default_factory=set)
    linked: dict[str, str] = field(default_factory=dict)
    """A duplicate referral, and the referral that it duplicates."""
    heirs: dict[str, Fact] = field(default_factory=dict)
    """A duplicate that replaced a referral that was given up, and the fact that gave that up."""
    answered: set[str] = field(default_factory=set)
    """Referrals of which a duplicate was answered."""
    referrals: dict[str, str] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    # ---- facts that arrive

    def legal(self, move: facts.ReferralStatusChanged) -> bool:
        now = self.referrals.get(move.referral)
        if now is None:
            return True  # The request has not arrived yet, so the move cannot be checked.
        if move.status == now:
            return True  # A repeat.
        if move.status == "entered-in-error":
            return move.by == "requester" and now != "entered-in-error"
        return move.status in MOVES.get(now, set()) and move.by in SIDES.get(move.status, {"target"})

    def take(self, fact: Fact) -> None:
        data = fact.data
        if isinstance(data, facts.ReferralStatusChanged):
            if not self.legal(data):
                return
            moves = self.referrals.get(data.referral) != data.status
            self.referrals[data.referral] = data.status
            if moves and fact.notifies:
                self.moved(fact)
        if isinstance(data, facts.ReferralRequested):
            first = self.doubled(fact)
            if first:
                self.linked[data.referral] = first
            self.referrals.setdefault(data.referral, "requested")
        self.facts.append(fact)
        self.facts.sort(key=lambda f: (f.t, f.seq))

    def moved(self, fact: Fact) -> None:
        """An answer to a duplicate counts for the first referral. If the first is given up, an open duplicate replaces it."""
        name, status = fact.data.referral, fact.data.status
        if name in self.linked and status not in GIVEN_UP:
            self.answered.add(self.linked[name])
        if status in GIVEN_UP:
            asked = [f for f in self.of(facts.ReferralRequested) if self.linked.get(f.data.referral) == name]
            heirs = [f.data.referral for f in asked if self.referrals[f.data.referral] not in ENDED]
            for heir in heirs[1:]:
                self.linked[heir] = heirs[0]
            if heirs:
                del self.linked[heirs[0]]
                self.heirs[heirs[0]] = fact

    def doubled(self, fact: Fact) -> str | None:
        """A request for the same person to the same service within 30 days, while another referral is open. Return the first of those."""
        found = [
            f.data.referral
            for f in self.facts
            if isinstance(f.data, facts.ReferralRequested)
            and f.data.referral != fact.data.referral
            and f.data.service == fact.data.service
            and f.data.referral not in self.linked
            and self.referrals[f.data.referral] not in ENDED
            and abs(fact.t - f.t) <= 30 * DAY
        ]
        return found[0] if found else None

    def of(self, kind: type, *, stay: Subject | None = None) -> list[Fact]:
        return [f for f in self.facts if isinstance(f.data, kind) and (stay is None or f.stay == stay)]

    # ---- stays

    def stays(self) -> dict[Subject, StayView]:
        about = facts.CareActivityRecorded | facts.ReferralRequested
        names = {f.stay for f in self.facts if f.stay is not None and not isinstance(f.data, about)}
        return {name: self.view([f for f in self.facts if f.stay == name and not isinstance(f.data, about)]) for name in names}

    @staticmethod
    def view(said: list[Fact]) -> StayView:
        void = max((f.t for f in said if isinstance(f.data, facts.AdmissionCancelled)), default=-1)
        live = [f for f in said if f.t > void]
        undone = max((f.t for f in said if isinstance(f.data, facts.DischargeCancelled)), default=-1)
        discharges = [f for f in live if isinstance(f.data, facts.PatientDischarged) and f.t > undone]
        arrivals = [f for f in live if isinstance(f.data, facts.PatientAdmitted | facts.EncounterClassChanged)]
        inside = arrivals or [f for f in live if isinstance(f.data, facts.PatientTransferred)]
        away = False
        for f in live:
            if isinstance(f.data, facts.EncounterUpdated) and f.data.leave is not None and f.t > undone:
                away = f.data.leave
            elif isinstance(f.data, facts.PatientTransferred):
                away = False  # A transfer ends a leave.
        status = None
        if discharges:
            status = "finished"
        elif inside:
            status = "onleave" if away else "in-progress"
        elif any(isinstance(f.data, facts.EncounterPlanned) for f in live):
            status = "planned"
        elif void >= 0:
            status = "cancelled"
        return StayView(status, arrivals, discharges[-1] if discharges else None, discharges, live)

    @staticmethod
    def silent(view: StayView, end: int) -> bool:
        """An emergency visit without news for five days at *end* counts as over from then on (ENC-1)."""
        last = [f for f in view.said if f.arrival <= end][-1]
        return view.setting(last) == "emergency" and end >= days_after(last.t, 5, FACILITIES[last.data.encounter.facility])

    def dead(self, stays: dict[Subject, StayView]) -> bool:
        if any(v.discharge is not None and v.group() == "died" for v in stays.values()):
            return True
        updates = self.of(facts.PersonUpdated) + [f for v in stays.values() for f in v.said if isinstance(f.data, facts.EncounterUpdated)]
        return any(f.data.deceased for f in updates)

    def practice_zone(self, otherwise: str) -> str:
        """The place of the accountable practice: that of the primary care provider in the newest team."""
        for f in reversed(self.of(facts.CareTeamChanged)):
            for m in f.data.members:
                if m.role == "pcp" and m.party.practitioner:
                    return ORGANISATIONS[PRACTICE_OF[m.party.practitioner.id]]
            break
        return otherwise

    # ---- what is open: HEDIS counts the whole day of the admission or discharge (TRC-1, MED-1), other rules what came after it

    def open(self) -> set[Item]:
        """Return every handoff of the seven rules that must be open."""
        return {(rule, subject, due) for rule, subject, _, due in self.items()}

    def items(self) -> list[tuple[str, Subject, str, int]]:
        """Each open handoff: rule, subject, the fact that triggered it, due."""
        stays = self.stays()
        if self.dead(stays):
            return []
        found = [*self._after_discharge(stays), *self._after_admission(stays), *self._goals(stays), *self._referrals()]
        found = [(r, s, f, d) for r, s, f, d in found if (r, s, f) not in self.done]
        return found + [("NOT-2", (n.cause, n.rule), n.id, n.due) for n in self.notices if not (n.over or self._pointless(n, stays))]

    def _due(self, rule: str, subject: Subject, trigger: Fact, due: int) -> int:
        return self.opened.setdefault((rule, subject, trigger.id), due)

    def _cared(self, codes: set[str], since: int, stay: Subject | None = None) -> list[Fact]:
        return [
            f
            for f in self.of(facts.CareActivityRecorded)
            if f.data.code in codes and f.data.status == "completed" and f.t >= since and (f.stay is None or stay is None or f.stay == stay)
        ]

    def _kept(self, since: int) -> list[Fact]:
        return [f for f in self.of(facts.AppointmentChanged) if f.data.status == "fulfilled" and f.t >= since]

    def _after_discharge(self, stays: dict[Subject, StayView]) -> list[tuple[str, Subject, str, int]]:
        found = []
        for name, view in stays.items():
            left = view.discharge
            if left is None or not left.notifies:
                continue
            setting, group, zone = view.setting(left), view.group(), FACILITIES[name[0]]
            back = any(
                other != name and f.t > left.t and view_.setting(f) in GOING_IN for other, view_ in stays.items() for f in view_.arrivals
            )
            if setting in GOING_IN | {"emergency", "unknown"} and group in GOING_HOME | {"facility"}:
                due = self._due("DIS-1", name, left, business_days_after(left.t, 1, zone))
                if not back:
                    found.append(("DIS-1", name, left.id, due))
            if setting in GOING_IN | {"unknown"} and group in GOING_HOME and zone != LONDON:
                practice = self.practice_zone(zone)
                due = self._due("TCM-1", name, left, business_days_after(left.t, 2, practice))
                if not back and not self._cared({"interactive-contact", "face-to-face-visit"}, left.t, name):
                    found.append(("TCM-1", name, left.id, due))
                due = self._due("MED-1", name, left, days_after(left.t, 30, practice))
                practice = self.zones.setdefault((name, left.id), practice)
                visits = [days_after(f.t, 0, practice) for f in [*self._cared({"face-to-face-visit"}, left.t, name), *self._kept(left.t)]]
                if not back and not self._cared({"medication-reconciliation"}, days_after(left.t, -1, practice), name):
                    found.append(("MED-1", name, left.id, min([due, *visits])))
        return found

    def _after_admission(self, stays: dict[Subject, StayView]) -> list[tuple[str, Subject, str, int]]:
        found = []
        for name, view in stays.items():
            zone = FACILITIES[name[0]]
            first = next((f for f in view.arrivals if SETTING[f.data.class_] == "inpatient"), None)
            if first is None or not first.notifies or zone == LONDON:
                continue
            practice = self.practice_zone(zone)
            due = self._due("TRC-1", name, first, days_after(first.t, 2, practice))
            if not self._cared({"admission-notice-filed"}, days_after(first.t, -1, practice), name):
                found.append(("TRC-1", name, first.id, due))
        return found

    def _goals(self, stays: dict[Subject, StayView]) -> list[tuple[str, Subject, str, int]]:
        moments = [
            (f, FACILITIES[name[0]])
            for name, view in stays.items()
            for f in [*view.arrivals, *([view.discharge] if view.discharge else [])]
            if f.notifies and view.setting(f) in GOING_IN | {"unknown"} and not (f is view.discharge and view.group() == "died")
        ]
        moments.sort(key=lambda m: (m[0].t, m[0].seq))
        found = []
        for goal in {f.data.goal for f in self.of(facts.GoalUpdated)}:
            said = [f for f in self.of(facts.GoalUpdated) if f.data.goal == goal]
            if said[-1].data.lifecycle_status not in {"accepted", "active"}:
                continue
            triggers = [(f, z) for f, z in moments if self._active(said, f.t)]
            if not triggers:
                continue
            last, zone = triggers[-1]
            due = self._due("GOAL-2", (goal,), last, days_after(last.t, 14, zone))
            status = [s.data.lifecycle_status for s in said]
            # A change of status counts as a review of the goal, because its statusDate changes too.
            reviewed = any(s.t >= last.t and (s.data.reviewed or (i and status[i] != status[i - 1])) for i, s in enumerate(said))
            reviewed |= any(goal in f.data.based_on for f in self._cared({"goal-review"}, last.t))
            if not reviewed:
                found.append(("GOAL-2", (goal,), last.id, due))
        return found

    @staticmethod
    def _active(said: list[Fact], at: int) -> bool:
        before = [f for f in said if f.t <= at]
        return bool(before) and before[-1].data.lifecycle_status in {"accepted", "active"}

    def _referrals(self) -> list[tuple[str, Subject, str, int]]:
        found = []
        for f in self.of(facts.ReferralRequested):
            name = f.data.referral
            begins = self.heirs.get(name, f)
            if name in self.linked or not begins.notifies:
                continue
            due = self._due("REF-1", (name,), begins, business_days_after(begins.t, 2, ORGANISATIONS[f.data.target.organization]))
            if self.referrals[name] == "requested" and name not in self.answered:
                found.append(("REF-1", (name,), begins.id, due))
        return found

    # ---- notifications that ask for an acknowledgement

    def notified(self, notice: Notice) -> None:
        self.notices.append(notice)

    def _pointless(self, n: Notice, stays: dict[Subject, StayView]) -> bool:
        """Return whether the notification was withdrawn, or a later event makes its acknowledgement pointless."""
        view = stays.get(n.stay)
        cause = next((f for f in view.said if f.id == n.cause), None) if view is not None else None
        if view is None or cause is None:
            return True
        left = view.discharge
        if n.rule == "NTF-DISCHARGE":
            return cause not in view.discharges
        return left is not None or (n.rule == "NTF-ED" and any(view.setting(f) in GOING_IN for f in view.arrivals))
