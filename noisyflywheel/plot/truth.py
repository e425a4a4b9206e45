"""The true labels beside the given ones, for plots that know the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from noisyflywheel.data import on_host
from noisyflywheel.estimator.inputs.labels import check_same_index, one_column


def given_and_true(estimator: Any, y_true: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """The labels that were judged, (n,), and the true ones, paired by position; these may be one column, or a tensor.

    Raises
    ------
    ValueError
        If y_true has several columns, another length, a missing label, or the index of what was judged in another
        order; that of an array has no order of its own.
    """
    y_true, issues = one_column(on_host(y_true)), estimator.get_label_issues()
    if np.shape(y_true) != (len(issues),):
        raise ValueError(f"y_true has shape {np.shape(y_true)}, the labels have {(len(issues),)}")
    missing = np.asarray(pd.isna(pd.Series(y_true)))
    if missing.any():
        raise ValueError(f"y_true has a missing label in row {int(missing.argmax())}")
    named = not issues.index.equals(pd.RangeIndex(len(issues)))
    if named and isinstance(y_true, pd.Series) and {*y_true.index} == {*issues.index}:
        check_same_index(issues, y_true, ("X", "y_true"))
    return issues["given_label"].to_numpy(), np.asarray(y_true)
