"""Cells that stand for nothing."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd


def with_missing(table: pd.DataFrame, markers: Collection[str] = ()) -> pd.DataFrame:
    """Copy in which empty text, and text equal to one of some markers but for blanks around it, is None.

    One text is one marker.
    """
    marked = {marker.strip() for marker in ([markers] if isinstance(markers, str) else markers)}

    def marks(column: pd.Series) -> pd.Series:
        if pd.api.types.is_numeric_dtype(column.dtype):
            return column
        gone = [isinstance(cell, str) and (not cell or cell.strip() in marked) for cell in column.astype(object)]
        return column.mask(np.array(gone, dtype=bool), None) if any(gone) else column

    return table.apply(marks)
