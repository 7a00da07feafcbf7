"""Update the ids of tasks and notifications in the story: `python tests/agents/renew_story.py`.

An answer names a task by its id, which is derived from its cause and its rule. If the derivation or a message changes, the
ids change too. The comment above each answer (`# about NOT-2 1 of GENERAL 77001`: the first NOT-2 of that person) says which
task is meant.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict

from agents.loaders import load_in_memory, load_intake
from streams.base.settings import Settings
from streams.cli.demonstration import STORY
from streams.contract.person_key import person_key
from streams.intake.files import read_paths
from streams.replay.replay import replay

ABOUT = re.compile(r"# about (\S+) (\d+) of (\S+) (\S+)")
ROUNDS = 10
"""An answer may change later decisions, so the ids are stable only after a few rounds."""


def renewed() -> dict[str, str]:
    """Return the updated text of each file of answers, by file name."""
    agent, doors = load_in_memory(Settings()), load_intake(Settings())
    tasks: dict[tuple[str, str], list[str]] = defaultdict(list)
    notices: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for line in replay(read_paths([STORY], doors), [agent]):
        if line["effect"] == "task" and line["handoff"] not in tasks[line["person"], line["rule"]]:
            tasks[line["person"], line["rule"]].append(line["handoff"])
        elif line["effect"] == "notification":
            notices[line["person"], line["rule"], line["recipient"]].append(line["id"])
    texts = {}
    for path in sorted(STORY.glob("*.jsonl")):
        rows = path.read_text(encoding="utf-8").splitlines()
        for number, row in enumerate(rows):
            about = ABOUT.fullmatch(row)
            if about is None:
                continue
            rule, nth, authority, identifier = about.groups()
            key = person_key(Settings().key_secret, authority, identifier)
            event = json.loads(rows[number + 1])
            name = "task" if "task" in event["data"] else "notification"
            found = tasks[key, rule] if name == "task" else notices[key, rule, event["data"]["recipient"]]
            if len(found) >= int(nth):
                rows[number + 1] = rows[number + 1].replace(event["data"][name], found[int(nth) - 1])
        texts[path.name] = "\n".join(rows) + "\n"
    return texts


def main() -> int:
    """Update the files until nothing changes any more."""
    for _ in range(ROUNDS):
        changed = False
        for name, text in renewed().items():
            path = STORY / name
            if path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                changed = True
        if not changed:
            return 0
    sys.stderr.write(f"the ids did not settle in {ROUNDS} rounds\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
