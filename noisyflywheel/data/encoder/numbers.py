"""Rows of numbers with missing cells as features, by what a `TableEncoder` learnt, kept as a table of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyflywheel.data.centring import row_blocks
from noisyflywheel.data.encoder.encode import TableEncoder

MEDIAN_ROWS = 100_000
"""Medians are of at most about so many rows, evenly spaced: more would change little."""


def has_missing(x: NDArray[Any]) -> bool:
    """Whether numbers x (n, d) hold a NaN; without a copy of them or a mask."""
    if x.dtype.kind != "f" or not x.size:
        return False
    with np.errstate(invalid="ignore"):
        return bool(np.isnan(x.min()))  # a minimum hands NaN on


def medians(x: NDArray[Any]) -> NDArray[np.float64]:
    """Median of each column of finite numbers x (n, d): (d,)."""
    rows = x[:: -(-len(x) // MEDIAN_ROWS)]
    with np.errstate(over="ignore"):  # of what is refused later
        return np.array([np.median(column.astype(np.float64)) for column in rows.T])


def fill_missing(x: NDArray[Any], fill: NDArray[np.float64]) -> NDArray[Any]:
    """Rows x (n, d) in their type with ``fill`` (d,) where they are NaN."""
    return np.where(np.isnan(x), fill.astype(x.dtype), x)


def learn_features(x: NDArray[Any] | pd.DataFrame) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Encode rows as a `TableEncoder` does, and keep what it learnt of them.

    Parameters
    ----------
    x : ndarray or DataFrame of shape (n, d)
        Numbers or NaN.

    Returns
    -------
    encoded : ndarray of shape (n, D)
    features : DataFrame of D rows
        For `encode_numbers`: ``column`` of x; ``is_flag``, whether the feature says which of its cells are missing;
        ``fill``, the column's median; ``mean`` and ``scale`` of the feature.

    Raises
    ------
    ValueError
        If no column is left to learn from.
    """
    encoder = TableEncoder().set_output(transform="default")
    encoded = encoder.fit_transform(x)
    used = np.array([i for i, column in enumerate(encoder.plan_) if column.kind == "number"])
    _, imputer, scaler = encoder._columns.named_transformers_["numbers"].named_steps.values()
    place = np.concatenate([np.arange(len(used)), imputer.indicator_.features_]).astype(np.int64)
    features = {
        "column": used[place],
        "is_flag": np.arange(len(place)) >= len(used),
        "fill": imputer.statistics_[place],
        "mean": scaler.mean_,
        "scale": scaler.scale_,
    }
    return encoded, pd.DataFrame(features)


def encode_numbers(x: NDArray[Any], features: pd.DataFrame) -> NDArray[np.float32]:
    """Rows x (n, d), numbers or NaN, as the features (n, D) of `learn_features`, to the last bit.

    Values beyond float32 become infinite.
    """
    column, is_flag, fill, mean, scale = (features[name].to_numpy() for name in features)  # (D,) each
    out = np.empty((len(x), len(column)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for rows in row_blocks(x):
            block = x[rows][:, column].astype(np.float64)  # (b, D)
            gone = np.isnan(block)
            out[rows] = (np.where(is_flag, gone, np.where(gone, fill, block)) - mean) / scale
    return out
