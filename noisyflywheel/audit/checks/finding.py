"""What a look at the data finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing to look at.

    Attributes
    ----------
    kind : {"missing labels", "rare class", "similar names", "contradiction", "copies", "leakage", "groups", "splits"}
    text : str
        A sentence.
    rows : tuple of int
        1-based numbers of the rows it is about, in order; empty where it is about all.
    """

    kind: str
    text: str
    rows: tuple[int, ...] = ()


def row_tuple(rows: Any) -> tuple[int, ...]:
    """Row numbers as Python has them."""
    return tuple(int(row) for row in rows)
