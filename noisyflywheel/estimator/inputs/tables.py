"""Tables: DataFrames with categories, texts or dates, and numbers with missing cells.

The first are encoded by a `TableEncoder` that belongs to the fit, the others by the numbers that one learnt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_float_dtype
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data
from torch import Tensor

from noisyflywheel.data import to_tensor
from noisyflywheel.data.centring import row_blocks, to_float32
from noisyflywheel.data.encoder.encode import TableEncoder
from noisyflywheel.data.encoder.numbers import encode_numbers, fill_missing, has_missing, learn_features, medians
from noisyflywheel.data.frames import in_pandas


def refuse_on_disk(estimator: Any, X: Any) -> None:
    """Raise TypeError for rows on disk or of a Dataset after a fit on rows that had to be encoded in memory."""
    of_what = {"input_features_": "rows with missing cells", "input_projection_": "wide sparse rows"}
    for name, rows in of_what.items():
        if getattr(estimator, name, None) is not None:
            raise TypeError(f"X is a {type(X).__name__}, but the fit was on {rows}: pass an array.")


def read_table(estimator: Any, X: Any, *, reset: bool) -> Tensor:
    """Rows of a table as float32; in fit ``encoder_`` is set and learnt, afterwards it is applied.

    Raises
    ------
    ValueError
        If there are too few rows, the columns are others than in fit, a cell is infinite, or cells are complex.
    TypeError
        If the fit was on a DataFrame that had to be encoded, and X is none.
    """
    X = in_pandas(X)
    if not isinstance(X, pd.DataFrame):
        raise TypeError(
            f"X is a {type(X).__name__}, but the fit was on a pandas DataFrame whose columns had to be encoded."
        )
    least = 2 if reset else 1
    if len(X) < least:
        raise ValueError(f"Found a DataFrame with {len(X)} sample(s) while a minimum of {least} is required.")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    for name, column in X.items():
        if column.dtype.kind == "c":
            raise ValueError(f"Complex data not supported: column {name!r} of X.")
        _check_no_infinity(_floats_of(column)[:, None])
    if reset:
        estimator.encoder_ = TableEncoder().set_output(transform="default")  # whatever scikit-learn is set to
    encoded = estimator.encoder_.fit_transform(X) if reset else estimator.encoder_.transform(X)
    assert_all_finite(encoded, input_name="X")
    return to_tensor(encoded)


def read_missing(estimator: Any, x: NDArray[Any], *, reset: bool, in_memory: bool) -> NDArray[Any]:
    """Rows x (n, d) of numbers or NaN as rows without NaN: encoded, with medians for NaN, or as they are.

    In fit ``input_features_`` are learnt where there is a NaN, else ``input_medians_``; afterwards they are applied.
    So a fit without missing cells is what it was, and still takes some in `predict`. Neither is learnt from a large map
    (``in_memory`` False).

    Raises
    ------
    ValueError
        If there is a NaN, and rows on disk or a fit that learnt no medians do not allow it, or a cell is infinite.
    """
    if not reset and getattr(estimator, "input_features_", None) is not None:
        return encode_numbers(x, estimator.input_features_)
    missing = has_missing(x)
    if reset and in_memory and missing:
        _check_no_infinity(x)
        names = getattr(estimator, "feature_names_in_", None)
        table = x if names is None else pd.DataFrame(x, columns=names)
        encoded, estimator.input_features_ = learn_features(table)
        return encoded
    if reset and in_memory:
        estimator.input_medians_ = medians(x)
    if not missing:
        return x
    fill = getattr(estimator, "input_medians_", None)
    if not in_memory or fill is None:
        where = "rows on disk" if not in_memory else "a classifier whose fit learnt no medians"
        raise ValueError(f"Input X contains NaN. Missing cells are not filled in {where}.")
    return fill_missing(x, fill)


def _floats_of(column: pd.Series) -> NDArray[np.float64]:
    """The cells of a column that are floats, which may be infinite: (m,)."""
    if is_float_dtype(column.dtype):
        return column.to_numpy(np.float64, na_value=np.nan)
    cells = column if column.dtype == object else ()
    return np.array([cell for cell in cells if isinstance(cell, float | np.floating)], dtype=np.float64)


def _check_no_infinity(x: NDArray[Any]) -> None:
    """Raise scikit-learn's ValueError if a cell of x (n, d) is infinite, also after rounding to float32."""
    for rows in row_blocks(x):
        assert_all_finite(x[rows], input_name="X", allow_nan=True)
        assert_all_finite(to_float32(x[rows]), input_name="X", allow_nan=True)
