"""Stories as files of JSON lines and HL7, replayed in this process, and queries on the resulting lines.

Knows only the public contract: event lines in, effect lines out.
"""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agents.coordination.agent import CoordinationAgent
from agents.loaders import load_in_memory, load_intake
from streams.base.settings import read_settings
from streams.contract.instants import parse_instant
from streams.intake.files import read_paths
from streams.intake.settings import IntakeSettings
from streams.output.lines import Line, write_line
from streams.replay.replay import replay

NEW_YORK = "America/New_York"


@cache
def _loaded() -> tuple[CoordinationAgent, IntakeSettings]:
    settings = read_settings(os.environ)
    return load_in_memory(settings), load_intake(settings)


def local(when: str, zone: str = NEW_YORK) -> str:
    """The ISO 8601 text of a local time, with offset."""
    return datetime.fromisoformat(when).replace(tzinfo=ZoneInfo(zone)).isoformat()


def utc(when: str, zone: str = NEW_YORK) -> str:
    """A local time as effect lines write it."""
    return datetime.fromisoformat(when).replace(tzinfo=ZoneInfo(zone)).astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")


class Story:
    """Builds the lines of a file, and replays them."""

    def __init__(self, zone: str = NEW_YORK, facility: str = "GENERAL", person: str = "77001") -> None:
        self.zone, self.facility, self.person = zone, facility, person
        self.lines: list[str] = []

    def add(
        self, kind: str, when: str, *, recorded: str | None = None, person: str | None = None, id_: str | None = None, **data: Any
    ) -> Story:
        """Add an event that happened at the local time *when* and arrived then, or at *recorded*."""
        line = {
            "type": kind,
            "id": id_ or f"E{len(self.lines):03}",
            "source": "urn:test:outside",
            "time": local(when, self.zone),
            "person": {"authority": self.facility, "identifier": person or self.person},
            "data": {name.rstrip("_"): value for name, value in data.items()},
        }
        if recorded is not None:
            line["recorded"] = local(recorded, self.zone)
        self.lines.append(json.dumps(line))
        return self

    def stay(self, visit: str = "V1", facility: str | None = None) -> dict[str, str]:
        return {"facility": facility or self.facility, "visit": visit}

    def team(self, when: str, practitioner: str = "8801", role: str = "pcp", **said: Any) -> Story:
        party = {"role": role, "practitioner": {"id": practitioner, "name": "Dr. Example"}}
        return self.add("CareTeamChanged", when, members=[{"role": role, "party": party}], replace=True, **said)

    def admitted(self, when: str, visit: str = "V1", class_: str = "IMP", facility: str | None = None, **said: Any) -> Story:
        return self.add("PatientAdmitted", when, encounter=self.stay(visit, facility), class_=class_, **said)

    def discharged(self, when: str, visit: str = "V1", disposition: str = "home", facility: str | None = None, **said: Any) -> Story:
        return self.add("PatientDischarged", when, encounter=self.stay(visit, facility), disposition=disposition, **said)

    def cared(self, when: str, code: str, **said: Any) -> Story:
        """Add a completed activity that took place at the local time *when*."""
        at = local(when, self.zone)
        done = {
            "activity": f"C{len(self.lines)}",
            "code": code,
            "status": "completed",
            "start": at,
            "end": at,
            "performer": {"role": "pcp"},
        }
        return self.add("CareActivityRecorded", when, **{**done, **said})

    def replay(self, until: str | None = None, lines: list[str] | None = None) -> EffectLines:
        """Replay the lines so far (or *lines*), until the local time *until*."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "story.jsonl")
            path.write_text("\n".join(self.lines if lines is None else lines) + "\n", encoding="utf-8")
            return replayed([path], until and local(until, self.zone))


class EffectLines:
    """The effect lines of a replay."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = [json.loads(write_line(line)) for line in lines]

    def of(self, rule: str | None = None, *effects: str) -> list[dict[str, Any]]:
        """The lines of *rule* (None: of any rule) of the kinds *effects* (none: of any kind)."""
        return [line for line in self.lines if rule in (None, line["rule"]) and (not effects or line["effect"] in effects)]

    def last(self, rule: str, effect: str = "task") -> dict[str, Any]:
        return self.of(rule, effect)[-1]

    def handoff(self, rule: str) -> str:
        """The id of the only handoff of *rule*."""
        (found,) = {line["handoff"] for line in self.of(rule, "task", "gap")}
        return str(found)

    def open_handoffs(self) -> dict[str, dict[str, Any]]:
        """The handoffs that are open at the end, by id, each with its last line."""
        last = {line["handoff"]: line for line in self.of(None, "task", "gap")}
        return {handoff: line for handoff, line in last.items() if line["closure"] is None}


def replayed(paths: list[Path], until: str | None = None) -> EffectLines:
    """Replay the files *paths* until *until* (ISO 8601 with offset)."""
    agent, intake = _loaded()
    return EffectLines(list(replay(read_paths(paths, intake), [agent], parse_instant(until) if until else None)))
