"""Acceptance: the same handoffs are open at the end, whatever the order of arrival.

Each story is about one person and has a seed. All of it arrives in one hour after it has happened: once in order, and then
shuffled.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from replayed import NEW_YORK, Story, local
from tables import each

HEARD_FROM = datetime.fromisoformat("2026-07-07T20:00:00-04:00")
KNOWN_WHEN_DECIDED = {"NOT-1", "NOT-2", "NOT-3", "NICE-1", "TCM-2", "TCM-3"}
"""Excluded: notifications are issued at arrival, and a risk is computed from what is known then."""


def diagnoses(*codes: str) -> list[dict[str, Any]]:
    return [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code, "rank": rank} for rank, code in enumerate(codes, 1)]


def story(chance: random.Random) -> Story:
    """A stay that ends on Monday 6 July, and up to seven events that may follow it."""
    history = Story(NEW_YORK, "SUNNYDALE", "90210").team("2026-06-01T09:00", "D77")
    class_, began = chance.choice([("IMP", "2026-07-01T10:00"), ("EMER", "2026-07-05T11:00"), ("OBSENC", "2026-07-04T11:00")])
    history.admitted(began, class_=class_).discharged("2026-07-06T15:00")
    here = history.stay()

    def updated(when: str, **said: Any) -> Callable[[], Story]:
        return lambda: history.add("EncounterUpdated", when, encounter=here, **said)

    def cared(code: str) -> Callable[[], Story]:
        return lambda: history.cared(chance.choice(("2026-07-06T09:00", "2026-07-06T16:00", "2026-07-07T15:00")), code)

    def left_anew() -> Story:
        history.add("DischargeCancelled", "2026-07-06T18:00", encounter=here)
        return history.discharged("2026-07-07T09:00") if chance.random() < 0.6 else history

    befalls: list[Callable[[], Story]] = [
        left_anew,
        updated("2026-07-06T17:00", diagnoses=diagnoses("F32.1", "I50.9", "J44.1")),
        updated("2026-07-06T12:00", diagnoses=diagnoses("I50.9", "J44.1")),
        updated("2026-07-06T08:00", leave=True),
        updated("2026-07-06T11:00", leave=False),
        updated("2026-07-06T13:00", class_="OBSENC"),
        updated("2026-07-07T10:00", disposition=chance.choice(("snf", "home", "hospice"))),
        lambda: history.add("EncounterClassChanged", "2026-07-06T10:00", encounter=here, class_="IMP"),
        lambda: history.add("PatientTransferred", "2026-07-05T15:00", encounter=here, to={"facility": "SUNNYDALE", "level": "icu"}),
        lambda: history.add("TransferCancelled", "2026-07-05T16:00", encounter=here),
        lambda: history.add("AdmissionCancelled", "2026-07-07T08:00", encounter=here),
        lambda: history.admitted("2026-07-07T12:00", "Z1", "IMP", "OTHER"),
        lambda: history.add("AdmissionCancelled", "2026-07-07T14:00", encounter=history.stay("Z1", "OTHER")),
        lambda: history.admitted("2026-07-07T11:00", "Z2", "EMER", "OTHER"),
        lambda: history.add("EncounterClassChanged", "2026-07-07T13:00", encounter=history.stay("Z2", "OTHER"), class_="IMP"),
        lambda: history.admitted("2026-07-06T16:00", "W1", "SNF", "OAKS"),
        lambda: history.cared("2026-07-07T10:00", "baseline-care-plan", encounter=history.stay("W1", "OAKS")),
        lambda: history.add("PersonUpdated", "2026-07-07T16:00", deceased=True),
        lambda: history.add(
            "AppointmentChanged", "2026-07-07T18:00", appointment="A9", status="fulfilled", start=local("2026-07-07T17:30")
        ),
        *map(cared, ("interactive-contact", "face-to-face-visit", "mental-health-follow-up", "discharge-summary-received")),
        *map(cared, ("medication-reconciliation", "admission-notice-filed")),
    ]
    for befall in chance.sample(befalls, chance.randint(2, 7)):
        befall()
    return history


def open_handoffs(history: Story, events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    lines = [json.dumps(event | {"recorded": (HEARD_FROM + timedelta(minutes=n)).isoformat()}) for n, event in enumerate(events)]
    left = history.replay("2026-07-07T23:00", lines).open_handoffs().values()
    return sorted((line["rule"], line["due"]) for line in left if line["rule"] not in KNOWN_WHEN_DECIDED)


@each("seed", range(60))
def test_same_handoffs_are_open_whatever_arrives_first(seed):
    chance = random.Random(seed)
    history = story(chance)
    events = sorted(map(json.loads, history.lines), key=lambda event: event["time"])
    as_it_happened = open_handoffs(history, events)

    for _ in range(3):
        chance.shuffle(events)
        assert open_handoffs(history, events) == as_it_happened, [(event["type"], event["time"], event["data"]) for event in events]
