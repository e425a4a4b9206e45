"""From what callers hand in to rows and labels: X to a source, y to 0..K-1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _num_samples,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)
from skorch.helper import SliceDataset
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data import ArraySource, DatasetSource, Source, as_row, channels_first, to_tensor


def is_dataset(X: Any) -> bool:
    """Whether X is a torch Dataset or skorch's SliceDataset of one."""
    return isinstance(X, (Dataset, SliceDataset)) and not isinstance(X, Tensor)


def read_rows(estimator: Any, X: Any, *, reset: bool) -> Tensor | Dataset:
    """X after scikit-learn's checks, as a tensor without a copy where that can be, or the Dataset itself.

    Parameters
    ----------
    estimator : FlywheelClassifier
        Its ``n_features_in_`` and ``feature_names_in_`` are set or compared.
    X : see `FlywheelClassifier.fit`
        2-D rows become float32; images keep uint8 and become (n, C, H, W).
    reset : bool
        True in fit, False afterwards.

    Raises
    ------
    ValueError
        For NaN or infinite values, wrong shapes, too few rows, or another number of features than in fit.
    """
    if is_dataset(X):
        return _read_dataset(estimator, X, reset)
    X = _as_array(X)
    if getattr(X, "ndim", 2) <= 2:
        minimum = 2 if reset else 1
        with np.errstate(over="ignore"):  # too large for float32 becomes infinite, and is refused as that
            checked = validate_data(estimator, X, reset=reset, dtype=np.float32, ensure_min_samples=minimum)
        return to_tensor(checked)
    return _read_images(estimator, X, reset)


def _as_array(X: Any) -> Any:
    """Tensors as arrays; refuses what scikit-learn would silently turn into numbers."""
    if isinstance(X, Tensor):
        if X.layout != torch.strided:
            raise TypeError("X is a sparse tensor, but dense rows are required: pass X.to_dense().")
        return X.detach().cpu().numpy()
    kinds = [dtype.kind for dtype in X.dtypes] if isinstance(X, pd.DataFrame) else [_kind(X)]
    if any(kind in "mM" for kind in kinds):
        raise TypeError("X holds dates or durations (datetime64 or timedelta64): turn them into numbers.")
    return X


def _kind(X: Any) -> str:
    return getattr(getattr(X, "dtype", None), "kind", "?")


def _read_images(estimator: Any, X: Any, reset: bool) -> Tensor:
    """Images as (n, C, H, W); uint8 stays uint8."""
    dtype = None if getattr(X, "dtype", None) == np.uint8 else np.float32
    with np.errstate(over="ignore"):
        X = check_array(
            X,
            dtype=dtype,
            ensure_2d=False,
            allow_nd=True,
            ensure_min_samples=2 if reset else 1,
            input_name="X",
        )
    if X.ndim > 4:
        raise ValueError(f"X must have 2 dimensions (rows) or 3 or 4 (images), got shape {X.shape}.")
    if 0 in X.shape:
        raise ValueError(f"X has an axis of length 0: shape {X.shape}.")
    x = channels_first(to_tensor(X))
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    _check_row_shape(estimator, tuple(x.shape[1:]), reset)
    return x


def _read_dataset(estimator: Any, X: Dataset, reset: bool) -> Dataset:
    """A Dataset is not read here, but for its first item."""
    if not hasattr(X, "__len__"):
        raise TypeError("The Dataset has no length: rows are asked for by index, an IterableDataset has none.")
    n = _num_samples(X)
    if n < (2 if reset else 1):
        raise ValueError(f"Found a Dataset with {n} sample(s) while a minimum of {2 if reset else 1} is required.")
    row = as_row(X[0])
    shape = tuple(channels_first(row[None]).shape[1:])
    if reset:
        estimator.n_features_in_ = row.shape[0] if row.ndim else 1
    _check_row_shape(estimator, shape, reset)
    return X


def _check_row_shape(estimator: Any, shape: tuple[int, ...], reset: bool) -> None:
    """Raise ValueError if rows have another shape than in fit."""
    if not reset and shape != estimator.views_.row_shape:
        raise ValueError(
            f"X has rows of shape {shape}, but was fitted with rows of shape {estimator.views_.row_shape}."
        )


def make_source(rows: Tensor | Dataset, device: torch.device) -> Source:
    """The rows as a source on a device."""
    return ArraySource(rows, device) if isinstance(rows, Tensor) else DatasetSource(rows, device)


def sample_rows(source: Source, most: int, rows: Tensor | None = None) -> Tensor:
    """At most ``most`` rows, evenly spaced among ``rows`` (all if None): (m, ...)."""
    rows = torch.arange(len(source)) if rows is None else rows
    if len(rows) > most:
        rows = rows[torch.linspace(0, len(rows) - 1, most).long()]
    return source.take(rows)


def labels_of_dataset(dataset: Any) -> np.ndarray:
    """The second part of each item of a Dataset, for ``fit(dataset)`` without y."""
    labels = []
    for i in range(len(dataset)):
        item = dataset[i]
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            raise ValueError(f"y is None and item {i} of the Dataset has no second part to take as labels: (x, label).")
        labels.append(item[1])
    return np.asarray(labels)


def read_labels(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels as the caller gave them, the classes, and codes 0..K-1.

    Returns
    -------
    labels : ndarray of shape (n,)
    classes : ndarray of shape (K,)
        Sorted.
    codes : ndarray of shape (n,), int64

    Raises
    ------
    ValueError
        If lengths differ, labels are missing, y is no classification target, or there is one class only.
    """
    check_consistent_length(X, y)
    missing = np.asarray(pd.isna(y))
    if missing.ndim == 1 and missing.any():
        kinds = "NaN or infinity" if _kind(y) == "f" else "NaN or None"
        raise ValueError(f"Input y contains {kinds} (first in row {int(missing.argmax())}).")
    labels = column_or_1d(y, warn=True)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise ValueError(f"Input y contains NaN or infinity (first in row {row}).")
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has one class only ({classes[0]!r}): the classifier needs at least 2 classes.")
    return labels, classes, codes.astype(np.int64)
