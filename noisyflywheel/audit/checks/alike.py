"""Class names that are probably meant to be one."""

from __future__ import annotations

import difflib
import math
import re
import unicodedata

MAX_LETTERS = 2
"""Letters by which names may differ that are almost the same."""


def alike(a: str, b: str) -> bool:
    """Whether two names are probably meant to be one; numbers and names that differ in digits only are not."""
    numbers = _number(a), _number(b)
    if None not in numbers and numbers[0] != numbers[1]:
        return False
    x, y = (_folded(name) for name in (a, b))
    if x == y:
        return True
    if re.sub(r"\d", "", x) == re.sub(r"\d", "", y) or min(len(x), len(y)) < 5 or abs(len(x) - len(y)) > 2:
        return False
    ratio = difflib.SequenceMatcher(None, x, y).ratio()
    return ratio >= 0.9 and round((1 - ratio) * (len(x) + len(y))) <= 2 * MAX_LETTERS


def _number(name: str) -> float | None:
    """The number that a name is, or None."""
    try:
        return number if math.isfinite(number := float(name)) else None
    except ValueError:
        return None


def _folded(name: str) -> str:
    """A name without case, accents, punctuation and white space; signs are kept where nothing else is left."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return re.sub(r"[\s_.\-]+", "", plain) or name.strip()
