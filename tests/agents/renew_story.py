"""Write the ids of tasks and notifications into the story again: `python tests/agents/renew_story.py`.

Answers name a task by its id, which follows from its cause and its rule. Where that derivation or a message changes, a
comment above each answer (`# about NOT-2 1 of GENERAL 77001`: the first NOT-2 of that person) says which one is meant.
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
"""An answer may change what is asked next: the ids settle after a few rounds."""


def renewed() -> dict[str, str]:
    """Return the text of each file of answers as it should be, by the file's name."""
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
    """Write until nothing changes any more."""
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
