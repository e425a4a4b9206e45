"""Names that occur once."""

from __future__ import annotations

from collections.abc import Iterable


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
