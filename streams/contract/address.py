"""An address: a role, and the party that holds it.

Owns the one written form of addresses in effects and states: `role/kind:id`, for example `pcp/practitioner:8801`. What
follows the slash is the party. Must not know a directory: who holds a role is not decided here.
"""

from __future__ import annotations

from typing import NamedTuple, Self


def split_party(party: str) -> tuple[str, str]:
    """Return kind and id of a *party*, written `kind:id`."""
    kind, _, id_ = party.partition(":")
    return kind, id_


class Address(NamedTuple):
    """Whom a message goes to, or who is accountable: *role*, and the party's *kind* and *id*."""

    role: str
    kind: str
    """practitioner, organization, caregiver or pool."""
    id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a written address apart. What is missing is empty; text is never refused."""
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
        """Whether a group of people answers, and nobody has claimed it yet."""
        return self.kind == "pool"

    def __str__(self) -> str:
        return f"{self.role}/{self.kind}:{self.id}"
