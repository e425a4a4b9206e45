"""DataFrames with categories, texts, dates or missing cells: encoded by a `TableEncoder` that belongs to the fit."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data
from torch import Tensor

from noisyflywheel.data import to_tensor
from noisyflywheel.data.encoder.encode import TableEncoder


def has_to_be_encoded(X: Any) -> bool:
    """Whether X is a DataFrame with a column that holds no numbers, or with a missing cell."""
    if not isinstance(X, pd.DataFrame):
        return False
    return not all(map(is_numeric_dtype, X.dtypes)) or bool(X.isna().any(axis=None))


def read_table(estimator: Any, X: Any, *, reset: bool) -> Tensor:
    """Rows of a DataFrame as float32; in fit ``encoder_`` is set and learnt, afterwards it is applied.

    Raises
    ------
    ValueError
        If there are too few rows, the columns are others than in fit, or a cell is infinite.
    TypeError
        If the fit was on a DataFrame that had to be encoded, and X is none.
    """
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X is a {type(X).__name__}, but the fit was on a DataFrame whose columns had to be encoded.")
    least = 2 if reset else 1
    if len(X) < least:
        raise ValueError(f"Found a DataFrame with {len(X)} sample(s) while a minimum of {least} is required.")
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    if reset:
        estimator.encoder_ = TableEncoder()
    encoded = estimator.encoder_.fit_transform(X) if reset else estimator.encoder_.transform(X)
    assert_all_finite(encoded, input_name="X")
    return to_tensor(encoded)
