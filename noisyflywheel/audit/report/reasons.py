"""Why a row is taken for another class: the columns in which it looks like that one and unlike the given one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyflywheel.audit.report.content import shorten
from noisyflywheel.audit.report.neighbours import suggestions, sure_rows
from noisyflywheel.audit.report.numbers import percent
from noisyflywheel.audit.rows.identity import label_text
from noisyflywheel.data.encoder.columns import Column, is_missing, plan_columns, read_dates, read_numbers
from noisyflywheel.data.encoder.readers import days_since_1970

KINDS = ("number", "date", "category")
N_REASONS = 2
LEAST_EVIDENCE = 1.0
"""In log odds: a reason makes the suggested class at least 2.7 times as likely against the given one."""
LEAST_ROWS = 5
MAX_COLUMNS = 100
"""More columns than these are an embedding or pixels, not features with a name."""
LIMIT = 5.0


@dataclass(frozen=True)
class Pairs:
    """Some rows with codes of their given and suggested class, each of shape (m,), and the sure rows."""

    rows: NDArray[np.intp]
    given: NDArray[np.intp]
    suggested: NDArray[np.intp]
    sure: NDArray[np.intp]
    sure_class: NDArray[np.intp]
    names: list[str]


def feature_reasons(
    X: Any, issues: pd.DataFrame, rows: Sequence[int], plan: Sequence[Column] | None = None
) -> dict[int, list[str]]:
    """Plain sentences, the strongest first, at most two for each row.

    Parameters
    ----------
    X : DataFrame of n rows, or array of shape (n, d)
        For anything else, and for more than 100 columns, there are no reasons.
    issues : DataFrame of n rows
    rows : sequence of int
        Positions.
    plan : sequence of Column, optional
        What the columns hold; found out if None.

    Returns
    -------
    reasons : dict of int to list of str
        Rows without a suggestion or without a reason are not in it.
    """
    table = _as_table(X)
    pairs = _pairs(issues, rows)
    if table is None or not len(pairs.rows):
        return {}
    plan = plan_columns(table) if plan is None else plan
    used = [(c, str(c.name)) for c in plan if c.kind in KINDS]
    judged = [(c, *_evidence(table[name], c, pairs)) for c, name in used if name in table]
    if not judged:
        return {}
    evidence = np.stack([part[1] for part in judged], axis=1)
    found: dict[int, list[str]] = {}
    for i, order in enumerate(np.argsort(-evidence, axis=1, kind="stable")[:, :N_REASONS]):
        told = [judged[j][2](i) for j in order if evidence[i, j] >= LEAST_EVIDENCE]
        if told:
            found[int(pairs.rows[i])] = told
    return found


def _as_table(X: Any) -> pd.DataFrame | None:
    """X with named columns, or None where they say nothing to people."""
    if isinstance(X, pd.DataFrame):
        table = X.set_axis([str(name) for name in X.columns], axis=1)
        return table if table.shape[1] <= MAX_COLUMNS and table.columns.is_unique else None
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] <= MAX_COLUMNS and X.dtype.kind in "biuf":
        return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
    return None


def _pairs(issues: pd.DataFrame, rows: Sequence[int]) -> Pairs:
    """Rows whose two classes both have enough sure rows."""
    given, sure, at = issues["given_label"].to_numpy(object), sure_rows(issues), np.asarray(rows, dtype=np.intp)
    codes, names = pd.factorize(given[sure])
    classes = pd.Index(names)
    own, other = classes.get_indexer(given[at]), classes.get_indexer(suggestions(issues)[0][at])
    enough = np.append(np.bincount(codes, minlength=len(names)) >= LEAST_ROWS, False)
    kept = enough[own] & enough[other]
    return Pairs(at[kept], own[kept], other[kept], sure, codes, [label_text(name) for name in names])


def _evidence(column: pd.Series, planned: Column, pairs: Pairs) -> tuple[NDArray[np.float64], Any]:
    """Log odds of the suggested class against the given one by one column, (m,), and a function that says why."""
    return _by_share(column, planned, pairs) if planned.kind == "category" else _by_level(column, planned, pairs)


def _by_level(column: pd.Series, planned: Column, pairs: Pairs) -> tuple[NDArray[np.float64], Any]:
    """Evidence of a number or date: how far it lies from the medians of both classes, in their spreads."""
    date, form = planned.kind == "date", planned.form
    values = days_since_1970(read_dates(column, form)) if date else read_numbers(column, form).to_numpy(np.float64)
    by_class = pd.Series(values[pairs.sure]).groupby(pairs.sure_class)
    middle = by_class.median().reindex(range(len(pairs.names))).to_numpy()
    away = pd.Series(np.abs(values[pairs.sure] - middle[pairs.sure_class])).groupby(pairs.sure_class).median()
    least = 0.05 * np.nanstd(values[pairs.sure]) if np.isfinite(values[pairs.sure]).any() else 0.0
    spread = np.maximum(1.4826 * away.reindex(range(len(pairs.names))).to_numpy(), least + 1e-12)
    own, other = (np.abs(values[pairs.rows] - middle[k]) / spread[k] for k in (pairs.given, pairs.suggested))
    odds = (np.minimum(own, LIMIT) ** 2 - np.minimum(other, LIMIT) ** 2) / 2
    odds += np.log(spread[pairs.given] / spread[pairs.suggested])
    odds = np.where((other < own) & (other < 2), odds, 0.0)

    def say(i: int) -> str:
        a, b = pairs.suggested[i], pairs.given[i]
        this, like, unlike = (_level(v, planned.kind) for v in (values[pairs.rows[i]], middle[a], middle[b]))
        return f"{planned.name} is {this}: {pairs.names[a]} has mostly about {like}, {pairs.names[b]} about {unlike}."

    return np.nan_to_num(odds), say


def _level(value: float, kind: str) -> str:
    """A number, or a date, for people."""
    if kind == "date":
        return str(np.datetime64(int(np.floor(value)), "D"))
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _by_share(column: pd.Series, planned: Column, pairs: Pairs) -> tuple[NDArray[np.float64], Any]:
    """Evidence of a category: how frequent it is in both classes."""
    cells = column.astype(object).where(~is_missing(column), None)
    codes, values = pd.factorize(cells, use_na_sentinel=False)
    counts = np.zeros((len(pairs.names), len(values)))
    np.add.at(counts, (pairs.sure_class, codes[pairs.sure]), 1.0)
    total = counts.sum(axis=1, keepdims=True)
    smooth, share = np.log((counts + 0.5) / (total + 1.0)), counts / np.maximum(total, 1)
    cell = codes[pairs.rows]
    odds = smooth[pairs.suggested, cell] - smooth[pairs.given, cell]

    def say(i: int) -> str:
        a, b = pairs.suggested[i], pairs.given[i]
        value = values[cell[i]]
        shown = "missing" if value is None or pd.isna(value) else shorten(value, 40)
        return (
            f"{planned.name} is {shown}: so are {percent(share[a, cell[i]])} of {pairs.names[a]} "
            f"and {percent(share[b, cell[i]])} of {pairs.names[b]}."
        )

    return odds, say
