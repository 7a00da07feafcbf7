"""One story in progress: the messages on their way, the product and the model, which must agree after each step.

Owns the delivery of events to both sides and the comparison. Must not know which events a story may have (`test_proof.py`).
"""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import RuleBasedStateMachine
from proof_calendar import DAY, HOUR, MINUTE, business_days_after
from proof_model import CORE, FACILITIES, Fact, Notice, PersonModel
from proof_run import Run

from agents.coordination.person.encounter import STATUS_NAMES
from streams.contract import effects as out
from streams.contract import events as facts
from streams.contract.events import Event, Millis, PersonKey

PEOPLE = tuple(PersonKey(f"p1.person-{n}") for n in "abc")


class Comparison(RuleBasedStateMachine):
    """Sends events to the product and to the model, and compares the two. Subclasses add the steps and set `run`."""

    run: Run

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.bag: list[Event] = []
        self.models = {key: PersonModel() for key in PEOPLE}
        self.into: dict[PersonKey, PersonKey] = {}
        self.sound = True
        """False while a step has not been checked yet."""

    # ---- send, deliver, compare

    def send(self, key: PersonKey, data: Any, *, held: bool = False, source: str = "urn:hospital", ago: int = 0) -> None:
        """Let *data* happen now (or *ago* before now). It arrives immediately, or stays on its way."""
        self.count += 1
        at = Millis(self.run.now + 1000 - ago)
        event = Event(f"E{self.count:03}", source, at, at, key, data, ago > 30 * DAY)
        if held:
            self.bag.append(event)
            self.run.now += 1000
        else:
            self.deliver(event)

    def arrives_late(self, event: Event) -> None:
        """A message never arrives weeks late: if it is older than 30 days it is history, which `old_stay_is_loaded` covers."""
        if self.run.now - event.time < 25 * DAY:
            self.deliver(event)

    def deliver(self, event: Event) -> list[Any]:
        self.sound = False
        arrival = Millis(self.run.now + 1000)
        event = replace_arrival(event, arrival)
        lives_on = self.lives_on(event.person)
        model = self.models.get(lives_on, PersonModel())
        refused = isinstance(event.data, facts.ReferralStatusChanged) and not model.legal(event.data)
        both = {name for key in PEOPLE[:2] for name, _ in self.run.open_handoffs(key)}
        effects = self.run.deliver(event)
        believed = event.time if event.time <= arrival + 15 * MINUTE else arrival
        history = event.backfill or event.time < arrival - 30 * DAY
        if isinstance(event.data, facts.PersonMerged):
            self.merged_into(lives_on, self.lives_on(event.data.into.key), both)
        else:
            model.take(Fact(event.id, believed, arrival, len(self.run.log), event.data, not history))
        if refused:
            assert any(isinstance(e, out.EventRefused) for e in effects), f"an illegal move was accepted: {event}"
            assert not any(isinstance(e, out.TaskState | out.GapState | out.NotificationIssued) for e in effects)
        self.learn(effects)
        self.compare()
        return effects

    def learn(self, effects: list[Any]) -> None:
        """Copy to the model which notifications ask for an acknowledgement. Other tests check whether they had to be issued."""
        for e in effects:
            if isinstance(e, out.NotificationIssued) and e.asks_acknowledgement and e.person in self.models:
                assert e.encounter is not None
                zone = self.models[e.person].practice_zone(FACILITIES[e.encounter.facility])
                due = business_days_after(e.at, 1, zone) if e.rule == "NTF-DISCHARGE" else e.at + 4 * HOUR
                self.models[e.person].notified(Notice(e.id, e.cause, e.rule, (e.encounter.facility, e.encounter.visit), due))

    def lives_on(self, key: PersonKey) -> PersonKey:
        while key in self.into:
            key = self.into[key]
        return key

    def merged_into(self, ends: PersonKey, goes_on: PersonKey, before: set[str]) -> None:
        """The open handoffs of both persons are open for the surviving one. How events of one concern the other is not modelled."""
        if ends == goes_on:
            return
        self.into[ends] = goes_on
        self.models.pop(ends)
        self.models.pop(goes_on, None)
        if not self.run.person(goes_on).deceased:
            assert {name for name, _ in self.run.open_handoffs(goes_on)} == before, "a merge lost or duplicated an open handoff"
        assert not self.run.open_handoffs(ends)

    def compare(self) -> None:
        """The product's open handoffs of the seven rules, and the states of its encounters, equal those of the model."""
        for key, model in self.models.items():
            person = self.run.person(key)
            stay_of = {s.number: s for s in person.encounters}
            found = set()
            for _, h in self.run.open_handoffs(key):
                if h.rule in CORE:
                    found.add((h.rule, self.subject(h, stay_of), h.due))
            wanted = model.open()
            if len(model.of(facts.DischargeCancelled) + model.of(facts.AdmissionCancelled)) > 1:
                # If several reviews supersede each other and are then cancelled in another order, the product may keep none of them.
                found, wanted = ({item for item in items if item[0] != "GOAL-2"} for items in (found, wanted))
            assert found == wanted, f"only in the product: {sorted(found - wanted)}; only in the model: {sorted(wanted - found)}"
            views = model.stays()
            for s in person.encounters:
                view = views.get((s.facility, s.visit))
                if s.assumed and STATUS_NAMES[s.status] == "finished":
                    assert view is not None
                    assert model.silent(view, s.discharged), f"assumed to be over, but there were events: {s.facility} {s.visit}"
                elif view is not None and view.status is not None:
                    assert STATUS_NAMES[s.status] == view.status, f"{s.facility} {s.visit}"
        self.sound = True

    def subject(self, h: Any, stay_of: dict[int, Any]) -> tuple[str, ...]:
        if h.rule == "NOT-2":
            text = h.notification.hex()
            notice = self.run.issued["-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))]
            return (notice.cause, notice.rule)
        if h.rule in {"REF-1", "GOAL-2"}:
            return (h.focus,)
        return (stay_of[h.encounter].facility, stay_of[h.encounter].visit)

    # ---- the end of a story

    def teardown(self) -> None:
        if not self.sound:
            return
        while self.bag:
            self.arrives_late(self.bag.pop())
        self.run.wait(self.run.now)
        assert self.run.replayed() == self.run.lines(), "the replay gives other effects"
        once, twice = (_published(lines) for lines in (self.run.lines(), self.run.replayed(times=2)))
        assert once == twice, "delivering each event twice issued or opened something else"


def _published(lines: bytes) -> list[bytes]:
    """The visible content of *lines*, without the notes about duplicates."""
    return [line for line in lines.splitlines() if b'"effect":"suppressed"' not in line and b'"effect":"refused"' not in line]


def replace_arrival(event: Event, arrival: Millis) -> Event:
    return Event(event.id, event.source, event.time, arrival, event.person, event.data, event.backfill)
