"""The words "did you mean", for every name that somebody writes and nothing knows.

Owns the search for the nearest known name. Knows no name itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return up to *most* of the *known* names that look like *name*, the most similar first; none if no name does.

    Case does not matter. A known name that contains *name* counts too: `age` finds `age_years`.
    """
    by_lower = {other.lower(): other for other in sorted(known)}
    wanted = name.strip().lower()
    found = get_close_matches(wanted, by_lower, n=most, cutoff=0.6)
    found += [lower for lower in by_lower if len(wanted) > 2 and wanted in lower and lower not in found]
    return [by_lower[lower] for lower in found[:most]]


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """Return `; did you mean one, two or three?` to put after an error about *name*; empty if no known name is close."""
    near = closest(name, known, most)
    if not near:
        return ""
    return f"; did you mean {' or '.join(filter(None, (', '.join(near[:-1]), near[-1])))}?"
