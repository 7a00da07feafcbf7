"""Suggestions for unknown names: "did you mean".

Owns the search for the nearest known name. The caller gives the known names.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from typing import Final

_SIMILAR: Final = 0.65
_SURELY_SIMILAR: Final = 0.75
"""From which ratios two names are similar: the first for names with the same first letter, the second for all. Below them a
suggestion misleads: `fone` and `owner` have 0.67, as have `pcb` and `pcp`."""


def closest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Return up to *most* of the *known* names that are similar to *name*, the most similar first.

    Case does not matter. A known name that contains *name* counts as similar: `age` finds `age_years`.
    """
    by_lower = {other.lower(): other for other in sorted(known)}
    wanted = name.strip().lower()
    near = get_close_matches(wanted, by_lower, n=len(by_lower) or 1, cutoff=_SIMILAR)
    found = [lower for lower in near if lower[0] == wanted[0] or SequenceMatcher(None, lower, wanted).ratio() >= _SURELY_SIMILAR][:most]
    found += [lower for lower in by_lower if len(wanted) > 2 and wanted in lower and lower not in found]
    return [by_lower[lower] for lower in found[:most]]


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """Return `; did you mean one, two or three?`, to append to an error about *name*; empty if no known name is similar."""
    near = closest(name, known, most)
    if not near:
        return ""
    return f"; did you mean {' or '.join(filter(None, (', '.join(near[:-1]), near[-1])))}?"
