"""The contents of one partition of the state topic: the persons, positions, claims and markers of a shard.

Owns the meaning of each record of that topic. Pure; `streams/kafka/opening.py` reads the records.
"""

from __future__ import annotations

from streams.shard.claims import ATTEMPT, CLAIM, POSITION, TRYING


class StateLog:
    """The state of one shard, as far as it has been read."""

    def __init__(self, number: int, persons: dict[bytes, bytes]) -> None:
        self.number = number
        self.persons = persons
        self.positions: dict[str, tuple[int, int]] = {}
        """{topic: (position, newest append time below it in ms)}"""
        self.claims: dict[str, int] = {}
        self.attempt: tuple[int, str] = (0, "")
        self.trying: tuple[str, int, int] | None = None
        """(topic, offset, number of tries) of the isolated step that was in progress when the last worker ended."""
        self.claimed = 0
        """The offset after this worker's own claim."""
        self.read_to = 0
        self.records = 0
        self.fenced: set[str] = set()

    def take(self, key: bytes, value: bytes | None, offset: int) -> None:
        """Apply one record of the state topic."""
        if key[0]:
            if value is None:
                self.persons.pop(key, None)
            else:
                self.persons[key] = value
        elif key.startswith(CLAIM):
            name = key[len(CLAIM) :].decode()
            if value is None:
                self.claims.pop(name, None)
            else:
                self.claims[name] = offset
        elif key.startswith(POSITION):
            if value is not None:
                position, _, newest = value.decode().partition(" ")
                self.positions[key[len(POSITION) :].decode()] = (int(position), int(newest or 0))
        elif key == ATTEMPT:
            count, _, digest = (value or b"0 ").decode().partition(" ")
            self.attempt = (int(count), digest)
        elif key == TRYING:
            topic, at, *tries = (value or b" 0").decode().split(" ")
            self.trying = (topic, int(at), int(tries[0]) if tries else 1) if topic else None
