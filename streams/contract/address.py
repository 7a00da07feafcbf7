"""Addresses: a role and the party that holds it.

Owns the text form of an address in effects and states: `role/kind:id`, for example `pcp/practitioner:8801`. The part
after the slash is the party. Knows no directory: other code decides who holds a role.
"""

from __future__ import annotations

from typing import NamedTuple, Self


def split_party(party: str) -> tuple[str, str]:
    """Return kind and id of a *party*, which is written as `kind:id`."""
    kind, _, id_ = party.partition(":")
    return kind, id_


class Address(NamedTuple):
    """The recipient of a message, or the accountable owner: a role, and the kind and id of a party."""

    role: str
    kind: str
    """practitioner, organization, caregiver or pool."""
    id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `role/kind:id`. A missing part becomes an empty string. Never raises."""
        role, _, party = text.partition("/")
        return cls(role, *split_party(party))

    @classmethod
    def of(cls, role: str, party: str) -> Self:
        """Return the address of *party* (`kind:id`) in *role*."""
        return cls(role, *split_party(party))

    @property
    def party(self) -> str:
        """The party as `kind:id`."""
        return f"{self.kind}:{self.id}"

    @property
    def is_pool(self) -> bool:
        """Return whether the party is a pool: a group of people, none of whom has claimed the task yet."""
        return self.kind == "pool"

    def __str__(self) -> str:
        return f"{self.role}/{self.kind}:{self.id}"
