"""Cells that stand for nothing."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd


def with_missing(table: pd.DataFrame, markers: Collection[str] = ()) -> pd.DataFrame:
    """Copy in which empty text, and text equal to one of some markers but for blanks around it, is None.

    One text is one marker.

    Raises
    ------
    TypeError
        For a marker that is no text.
    """
    texts = [markers] if isinstance(markers, str) else list(markers)
    odd = [marker for marker in texts if not isinstance(marker, str)]
    if odd:
        raise TypeError(f"missing must hold texts, got {odd[0]!r}: put NaN in place of numbers that stand for nothing")
    marked = {marker.strip() for marker in texts}

    def marks(column: pd.Series) -> pd.Series:
        if pd.api.types.is_numeric_dtype(column.dtype):
            return column
        gone = [isinstance(cell, str) and (not cell or cell.strip() in marked) for cell in column.astype(object)]
        return column.mask(np.array(gone, dtype=bool), None) if any(gone) else column

    return table.apply(marks)
