"""Words that messages share: remedies for unknown names, and bounds that stay bounds when they are printed."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence


def nearest(given: object, known: Iterable[str]) -> str | None:
    """The known name that is nearest to the one given; None where none is near."""
    return next(iter(difflib.get_close_matches(str(given), list(known), n=1)), None)


def suggest(given: object, known: Sequence[str]) -> str:
    """The remedy for an unknown name: the nearest known one, and all of them."""
    near = nearest(given, known)
    return (f"did you mean {near!r}? " if near else "") + f"choose from {', '.join(known)}"


def at_most(bound: float, digits: int = 1) -> str:
    """A bound ≥ 0 in so many digits, rounded up: what is printed is a bound too."""
    rounded = float(f"{bound:.{digits - 1}e}")
    unit = 10.0 ** (math.floor(math.log10(bound)) - digits + 1) if bound else 0.0
    return f"{rounded if rounded >= bound else rounded + unit:.{digits - 1}e}"
