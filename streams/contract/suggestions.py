"""Suggestions for unknown names: "did you mean".

Owns the search for the nearest known name. The caller gives the known names.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def closest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return up to *most* of the *known* names that are similar to *name*, the most similar first.

    Case does not matter. A known name that contains *name* counts as similar: `age` finds `age_years`.
    """
    by_lower = {other.lower(): other for other in sorted(known)}
    wanted = name.strip().lower()
    found = get_close_matches(wanted, by_lower, n=most, cutoff=0.6)
    found += [lower for lower in by_lower if len(wanted) > 2 and wanted in lower and lower not in found]
    return [by_lower[lower] for lower in found[:most]]


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """Return `; did you mean one, two or three?`, to append to an error about *name*; empty if no known name is similar."""
    near = closest(name, known, most)
    if not near:
        return ""
    return f"; did you mean {' or '.join(filter(None, (', '.join(near[:-1]), near[-1])))}?"
