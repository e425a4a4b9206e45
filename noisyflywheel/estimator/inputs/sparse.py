"""Sparse rows, such as words counted or categories encoded: dense as they are, or projected where they are wide."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite
from sklearn.utils.extmath import randomized_svd

DENSE_COLUMNS = 512
"""Sparse rows of so many columns become dense as they are (encoded categories), wider ones are projected (words)."""

N_COMPONENTS = 128
"""Columns of projected rows, as of the texts of a `TableEncoder`."""

LEAST_SHARE = 1e-5
"""Of the largest singular value: what lies below is rounding, which a scale for each column would blow up."""


def dense_rows(estimator: Any, x: Any, *, reset: bool) -> NDArray[Any]:
    """Sparse rows x (n, d) as dense ones; others as they are, unless the fit projected its rows.

    In fit ``input_projection_`` is learnt from more than `DENSE_COLUMNS` columns; afterwards it is applied.

    Raises
    ------
    ValueError
        If a cell of rows that are projected is NaN or infinite.
    """
    if reset and issparse(x) and x.shape[1] > DENSE_COLUMNS:
        estimator.input_projection_ = learn_projection(x)
    projection = getattr(estimator, "input_projection_", None)  # files of earlier versions have none
    if projection is None:
        return x.toarray() if issparse(x) else x
    return project(x, projection)


def learn_projection(x: Any) -> NDArray[np.float32]:
    """Right singular vectors of sparse rows x (n, d), the most telling first: (d, at most `N_COMPONENTS`)."""
    assert_all_finite(x, input_name="X")
    _, size, right = randomized_svd(x.astype(np.float64), min(N_COMPONENTS, *x.shape), random_state=0)
    telling = size > LEAST_SHARE * size[0]
    telling[0] = True  # of rows without a number, too
    return np.ascontiguousarray(right[telling].T, dtype=np.float32)


def project(x: Any, projection: NDArray[np.float32]) -> NDArray[np.floating]:
    """Rows x (n, d), sparse or not, times the projection (d, m): (n, m)."""
    assert_all_finite(x, input_name="X")
    return np.asarray(x @ projection)
