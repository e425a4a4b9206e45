"""Names that occur once."""

from __future__ import annotations

from collections.abc import Iterable

OWN_COLUMNS = ("is_label_issue", "label_quality", "suggested_label")
"""Columns that a cleaned file may have got from an audit; they are no part of a row."""

EMPTY = frozenset({"", "na", "n/a", "#n/a", "nan", "none", "null", "nat", "<na>"})
"""Texts, in small letters, that stand for a missing cell."""


def unique_names(names: Iterable[str]) -> list[str]:
    """Names in their order; one that was there before gets ``.1``, ``.2`` …"""
    found: dict[str, None] = {}
    for name in names:
        unique, count = name, 0
        while unique in found:
            count += 1
            unique = f"{name}.{count}"
        found[unique] = None
    return list(found)
