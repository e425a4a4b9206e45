"""What the report says for a suggestion: sentences, and the rows to show beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from noisyflywheel.audit.report.neighbours import nearest_sure
from noisyflywheel.audit.report.reasons import feature_reasons
from noisyflywheel.audit.rows.identity import label_text
from noisyflywheel.audit.rows.truth import row_numbers

MAX_BESIDE = 2000
"""Rows whose content is in the page only to be shown beside suspects."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for the suggestion of one row.

    Attributes
    ----------
    why : tuple of str
        Sentences, the strongest first.
    near : tuple of int
        1-based numbers of the nearest sure rows of the suggested class.
    places : tuple of int
        Their positions.
    """

    why: tuple[str, ...] = ()
    near: tuple[int, ...] = ()
    places: tuple[int, ...] = ()


def find_evidence(
    audit: Any, issues: pd.DataFrame, rows: Sequence[int], X: Any, features: Any, pictures: bool
) -> dict[int, Evidence]:
    """Evidence by position.

    Parameters
    ----------
    audit : estimator, audit or DataFrame
    issues : DataFrame of n rows
    rows : sequence of int
        Positions.
    X : array-like of n rows, or None
        What is shown; columns with names become reasons.
    features : array-like of n rows, or None
        Where nearness is measured; None for what the model learnt from, or X where it lacks some of that.
    pictures : bool
        Whether X holds pictures: then there are no reasons by columns.
    """
    encoder = _encoder(audit)
    if features is None:
        features = encoder.transform(X) if _can_be_encoded(X, encoder) else X
    plan = None if encoder is None else encoder.plan_
    reasons = {} if pictures else feature_reasons(X, issues, rows, plan)
    nearest = nearest_sure(issues, features, list(rows))
    numbers = row_numbers(issues)
    found = {}
    for row in rows:
        places = tuple(nearest.rows.get(row, ()))
        why = (*reasons.get(row, ()), *said_by_votes(nearest.votes.get(row, {})))
        found[row] = Evidence(why, tuple(int(numbers[place]) for place in places), places)
    return found


def said_by_votes(votes: Mapping[Any, int]) -> list[str]:
    """A sentence about the labels of the nearest sure rows."""
    if not votes:
        return []
    total, names = sum(votes.values()), [(label_text(name), n) for name, n in votes.items()]
    if len(names) == 1:
        return [f"All {total} most similar sure rows are “{names[0][0]}”."]
    counts = ", ".join(f"{n} “{name}”" for name, n in names[1:3])
    return [f"Of the {total} most similar sure rows {names[0][1]} are “{names[0][0]}”, {counts}."]


def rows_beside(evidence: Mapping[int, Evidence]) -> list[int]:
    """Positions of the rows to show beside others, each once, those of the first rows first."""
    return list(dict.fromkeys(place for part in evidence.values() for place in part.places))[:MAX_BESIDE]


def _can_be_encoded(X: Any, encoder: Any) -> bool:
    """Whether X is a table with all columns that were learnt from; fewer may be shown."""
    if encoder is None or not isinstance(X, pd.DataFrame):
        return False
    return {str(column.name) for column in encoder.plan_ if column.kind != "left out"} <= set(map(str, X.columns))


def _encoder(audit: Any) -> Any:
    """The fitted `TableEncoder` of an audit of a table, or None."""
    first = audit.model.steps[0][1] if hasattr(getattr(audit, "model", None), "steps") else None
    return first if hasattr(first, "plan_") else None
