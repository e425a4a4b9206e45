"""Rows that are paired by position with the lines of a table of issues: whether both are in one order."""

from __future__ import annotations

from typing import Any

import pandas as pd

from noisyflywheel.audit.rows.identity import index_of
from noisyflywheel.estimator.inputs.labels import is_reordered


def check_order(issues: pd.DataFrame, **paired: Any) -> None:
    """Refuse rows that are paired by position with the lines of `issues`, and stand in another order than these.

    Parameters
    ----------
    issues : DataFrame of n rows
        Sorted, as `issues.csv` is, its lines are not in the order of the data.
    **paired : array-like of n rows, or None
        By the name that an error calls them.

    Raises
    ------
    ValueError
    """
    plain, names = pd.RangeIndex(len(issues)), _row_names(issues)
    in_order = "row" not in issues.columns or issues["row"].is_monotonic_increasing
    for name, rows in paired.items():
        index = index_of(rows)
        were_sorted_together = index is not None and issues.index.equals(index) and not index.equals(plain)
        if rows is None or were_sorted_together:
            continue
        if not in_order:
            raise ValueError(
                f"the lines of issues are not in the order of their rows, and those of {name} may be others: "
                "sort both by row, as issues.sort_values('row') does"
            )
        if index is not None and is_reordered(index, names):
            way = f"issues.loc[{name}.index] or {name}.loc[issues.index]"
            raise ValueError(
                f"{name} and issues have the same index labels in another order, but rows are paired by position: pass "
                f"{way if names is issues.index else f'{name}.sort_index()'}, "
                f"or {name}.reset_index(drop=True) if it is in the order of issues"
            )


def _row_names(issues: pd.DataFrame) -> pd.Index:
    """Index of the data that lines of issues are about, as far as they tell.

    `issues.csv` keeps none: lines that are numbered 0, 1, … themselves, in whatever order, go by their column `row`.
    """
    if "row" in issues.columns and {*issues.index} == {*range(len(issues))}:
        return pd.Index(issues["row"] - 1)
    return issues.index
