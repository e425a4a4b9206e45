"""Truth values as people and spreadsheets write them."""

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
        row = issues["row"].iloc[place] if "row" in issues.columns else place + 1
        raise ValueError(f"row {row}: is_label_issue must be True or False, not {cells[place]!r}")
    return np.array(mask, dtype=bool)


def _truth_of(cell: Any) -> bool | None:
    """Truth of a cell, None where it is no truth value."""
    text = "" if pd.isna(cell) else label_text(cell).strip().lower()
    return TRUTH.get(text) if text else False
