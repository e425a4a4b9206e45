"""Rows of a table that are equal but for identifiers: under different labels, or with their label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyflywheel.audit.checks.finding import Finding, row_tuple
from noisyflywheel.audit.rows.copies import copies_in
from noisyflywheel.audit.rows.identity import row_hashes
from noisyflywheel.data.encoder.columns import OBJECTS, Column


def equal_rows(
    table: pd.DataFrame, label: str, plan: Sequence[Column], labels: NDArray[Any], rows: NDArray[np.intp]
) -> list[Finding]:
    """Contradictions and copies among the rows with a label; identifiers do not count as content.

    Parameters
    ----------
    table : DataFrame of n rows
    label : column name
    plan : sequence of Column
        The features.
    labels : ndarray of shape (n,)
    rows : ndarray of shape (n,)
        Their 1-based numbers.
    """
    unused = {c.name for c in plan if c.kind == "left out" and c.reason != OBJECTS}
    content = table[[name for name in table.columns if name != label and name not in unused]]
    if not content.shape[1]:
        return []
    return contradictions(content, labels, rows) + copies(content, labels, rows)


def contradictions(content: pd.DataFrame, labels: NDArray[Any], rows: NDArray[np.intp]) -> list[Finding]:
    """Rows of equal content under different labels."""
    groups = pd.DataFrame({"mark": row_hashes(content), "label": labels, "row": rows})
    n_labels = groups.groupby("mark")["label"].transform("nunique")
    both = groups[n_labels > 1]
    if both.empty:
        return []
    n = both["mark"].nunique()
    text = f"{len(both):,} rows in {n:,} group{'s' * (n > 1)} of equal rows have different labels."
    return [Finding("contradiction", text, row_tuple(both.sort_values(["mark", "row"])["row"]))]


def copies(content: pd.DataFrame, labels: NDArray[Any], rows: NDArray[np.intp]) -> list[Finding]:
    """Rows that are copies of an earlier one, with their label."""
    first = copies_in(content, pd.factorize(labels)[0])
    if first is None:
        return []
    again = rows[first != np.arange(len(rows))]
    text = f"{len(again):,} rows are copies of an earlier row, label included: copies are judged as one."
    return [Finding("copies", text, row_tuple(again))]
