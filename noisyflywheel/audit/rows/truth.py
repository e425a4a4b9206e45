"""Which lines of a table of issues are suspects, however people and spreadsheets write it, and which rows they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyflywheel.audit.rows.identity import label_text

TRUTH = {
    **dict.fromkeys(("true", "1", "wahr", "vrai"), True),
    **dict.fromkeys(("false", "0", "falsch", "faux"), False),
}


def suspect_mask(issues: pd.DataFrame) -> NDArray[np.bool_]:
    """The column `is_label_issue` as a mask of shape (n,), also where it is text; an empty cell is False.

    Raises
    ------
    ValueError
        For a cell that is no truth value; the message names its row.
    """
    column = issues["is_label_issue"]
    if column.dtype == bool:
        return column.to_numpy()
    cells = column.astype(object).to_numpy()
    mask = [_truth_of(cell) for cell in cells]
    if None in mask:
        place = mask.index(None)
        row = row_numbers(issues)[place]
        raise ValueError(f"row {row}: is_label_issue must be True or False, not {cells[place]!r}")
    return np.array(mask, dtype=bool)


def suspect_rows(issues: pd.DataFrame, most: int | None = None) -> list[int]:
    """Positions of the suspects, the most doubtful first, at most `most`."""
    order = np.argsort(issues["label_quality"].to_numpy(), kind="stable")
    return [int(place) for place in order[suspect_mask(issues)[order]][:most]]


def row_numbers(issues: pd.DataFrame) -> NDArray[Any]:
    """Number of the row that each line is about, of shape (n,): the column `row`, else 1, 2, …"""
    return issues["row"].to_numpy() if "row" in issues.columns else np.arange(len(issues)) + 1


def _truth_of(cell: Any) -> bool | None:
    """Truth of a cell, None where it is no truth value."""
    text = "" if pd.isna(cell) else label_text(cell).strip().lower()
    return TRUTH.get(text) if text else False
