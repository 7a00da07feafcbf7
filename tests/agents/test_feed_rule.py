"""The rule of silent feeds: its file, its owners, its explanation, its replay, and what it imports."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command import run_command
from fresh import brought_by
from watched_source import KEY, MINUTE, MONDAY, SOURCE

from agents.coordination.rules.loading import load_directory
from agents.feeds.agent import FeedRuleError, load_rule, owners_of
from agents.feeds.explain import explain


def test_a_rule_that_is_wrong_is_refused_with_file_and_field(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "agents/feeds/catalogue/FEED-1.yaml").read_text()
    for was, wrong, named in (("usual_gaps: 3", "usual_gaps: 0", "usual_gaps"), ("floor_minutes: 5", "floor: 5", "floor")):
        file = tmp_path / "FEED-1.yaml"
        file.write_text(text.replace(was, wrong))
        with pytest.raises(FeedRuleError, match=named) as error:
            load_rule(file)
        assert str(file) in str(error.value)


def test_the_directory_names_the_owner_and_a_pool_with_the_roles_name_is_the_default() -> None:
    owners = owners_of(load_directory(), load_rule())
    assert owners.first.startswith("interface-team/")
    assert owners.second == "operations/pool:operations"


def test_a_replay_shows_a_silent_source_between_the_lines_of_persons(tmp_path: Path) -> None:
    file = tmp_path / "feed.jsonl"
    lines = []
    for n in range(40):
        moment = datetime.fromtimestamp((MONDAY + n * 10 * MINUTE) / 1000, UTC).isoformat()
        data = {"encounter": {"facility": "GENERAL", "visit": f"V{n}"}, "class": "AMB"}
        person = {"authority": "A", "identifier": str(n)}
        lines.append({"type": "EncounterUpdated", "id": f"e{n}", "source": SOURCE, "time": moment, "person": person, "data": data})
    file.write_text("\n".join(map(json.dumps, lines)))

    result = run_command("replay", str(file), "--json", "--until", "2026-06-01T08:00:00Z")

    shown = [json.loads(line) for line in result.stdout.splitlines()]
    gaps = [line for line in shown if line["rule"] == "FEED-1" and line["effect"] == "gap"]
    assert [(g["at"], g["state"], g["person"]) for g in gaps][:1] == [("2026-06-01T07:01:00Z", "open", KEY)]
    assert [line["at"] for line in shown] == sorted(line["at"] for line in shown)


def test_the_rule_of_silence_loads_without_kafka_files_or_a_clock() -> None:
    wire = ("aiokafka", "faust", "structlog", "yaml", "asyncio", "streams.shard.shard", "streams.kafka.worker")

    found = brought_by((f"agents.feeds.{module}" for module in ("decide", "state", "rule", "wording")), wire)

    wrong = [f"{module} brings {', '.join(brought)}" for module, brought in found.items() if brought]
    assert not wrong, "\n".join(wrong)


def test_the_rule_is_explained_from_its_numbers():
    text = explain(load_rule())

    assert "longer than 3 times its usual gap for that hour of the week, and for at least\n    5 minutes" in text
    assert "60 minutes later: operations becomes accountable and is notified" in text
