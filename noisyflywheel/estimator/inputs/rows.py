"""X as callers hand it in, checked, and turned into a tensor or a Dataset; a tensor or Dataset as a source."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import _num_samples, check_array, validate_data
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data import (
    ArraySource,
    DatasetSource,
    Source,
    as_row,
    channels_first,
    float64_device,
    map_items,
    opened,
    to_tensor,
)
from noisyflywheel.data.arrow import row_names, table_rows
from noisyflywheel.data.centring import CentredItems, Centring, learn_centring, to_float32
from noisyflywheel.data.encoder.encode import check_once
from noisyflywheel.data.frames import has_other_kinds
from noisyflywheel.data.lazy import LazyRows, is_large_map, lazy_rows
from noisyflywheel.data.sources import of_kept_type
from noisyflywheel.estimator.inputs.containers import as_array, check_container, is_dataset
from noisyflywheel.estimator.inputs.pixel_range import check_scale
from noisyflywheel.estimator.inputs.sparse import dense_rows
from noisyflywheel.estimator.inputs.tables import read_missing, read_table, refuse_on_disk

NUMBERS = (np.float64, np.float32, np.float16, *(np.dtype(code).type for code in np.typecodes["AllInteger"]), np.bool_)
"""Types of numbers in 2-D rows that stay as they are until rows become float32; others become float64 first."""


def read_rows(estimator: Any, X: Any, *, reset: bool) -> Tensor | Dataset:
    """X after scikit-learn's checks, as a tensor without a copy where that can be, or the Dataset itself.

    Parameters
    ----------
    estimator : FlywheelClassifier
        Its ``n_features_in_`` and ``feature_names_in_`` are set or compared. In fit ``input_offset_`` and
        ``input_scale_`` are set to what `learn_centring` gives, or None; afterwards they are applied.
    X : see `FlywheelClassifier.fit`
        2-D rows become float32, without a copy if they are that; images keep uint8 and become (n, C, H, W). DataFrames
        with categories, texts or dates and rows with missing cells are encoded
        (`noisyflywheel.estimator.inputs.tables`).
    reset : bool
        True in fit, False afterwards.

    Raises
    ------
    ValueError
        For infinite values, NaN where it is no missing cell, wrong shapes, too few rows, two columns of one name, or
        another number of features than in fit.
    """
    check_container(X)
    if isinstance(X, pd.DataFrame):
        check_once(X.columns)
    if reset:
        estimator.input_offset_ = estimator.input_scale_ = None
        estimator.encoder_ = estimator.input_features_ = estimator.input_medians_ = estimator.input_projection_ = None
    is_encoded = has_other_kinds(X) if reset else getattr(estimator, "encoder_", None) is not None
    if is_encoded:
        return read_table(estimator, X, reset=reset)
    lazy = table_rows(X)
    lazy = lazy_rows(X) if lazy is None else lazy  # a table without rows is false
    on_disk = lazy is not None or is_dataset(X) or is_large_map(X)
    if on_disk:
        refuse_on_disk(estimator, X)
    if isinstance(lazy, LazyRows):
        return _read_lazy(estimator, lazy, reset)
    if lazy is not None or is_dataset(X):
        return _read_dataset(estimator, X if lazy is None else lazy, reset)
    X = as_array(X)
    if getattr(X, "ndim", 2) <= 2:
        return _read_vectors(estimator, X, reset)
    return _read_images(estimator, X, reset)


def _read_vectors(estimator: Any, X: Any, reset: bool) -> Tensor:
    """2-D rows as float32, missing cells filled; columns that would lose their digits are centred and scaled first."""
    if not reset:
        _refuse_flat_pictures(estimator, X)
    checked = validate_data(
        estimator,
        X,
        accept_sparse=["csr", "csc"],
        reset=reset,
        dtype=NUMBERS,
        ensure_min_samples=_least_rows(reset),
        ensure_all_finite="allow-nan",
    )
    checked = dense_rows(estimator, checked, reset=reset)
    checked = read_missing(estimator, checked, reset=reset, in_memory=not is_large_map(X))
    rows = to_float32(checked, _centring(estimator, checked, reset))
    assert_all_finite(rows, input_name="X")  # what is too large for float32 has become infinite
    _check_row_shape(estimator, rows.shape[1:], reset)
    return to_tensor(rows)


def _read_images(estimator: Any, X: Any, reset: bool) -> Tensor:
    """Images as (n, C, H, W); uint8 stays uint8."""
    dtype = None if getattr(X, "dtype", None) == np.uint8 else np.float32
    with np.errstate(over="ignore"):
        X = check_array(
            X,
            dtype=dtype,
            ensure_2d=False,
            allow_nd=True,
            ensure_min_samples=_least_rows(reset),
            input_name="X",
        )
    _check_axes(X.shape)
    x = channels_first(to_tensor(X))
    if reset:  # later on axes may come in another order
        validate_data(estimator, X, reset=True, skip_check_array=True)
    _check_row_shape(estimator, tuple(x.shape[1:]), reset)
    check_scale(estimator, x, reset)
    return x


def _read_dataset(estimator: Any, X: Dataset, reset: bool) -> Dataset:
    """The Dataset itself, after a fit with centred columns centred too; of its items only the first is read here."""
    n, least = _num_samples(X), _least_rows(reset)
    if n < least:
        raise ValueError(f"Found a Dataset with {n} sample(s) while a minimum of {least} is required.")
    (row,) = map_items(as_row, X, [0])
    if row.ndim == 0:
        raise ValueError(
            "item 0 of the Dataset is a single number, or begins with one: items should be (x, label) or x, where x is "
            "an array or a tensor; of a list the first part is taken."
        )
    _check_axes((n, *row.shape))
    shape = tuple(channels_first(row[None]).shape[1:])
    if reset:
        estimator.n_features_in_ = row.shape[0]
        vars(estimator).pop("feature_names_in_", None)
    _check_row_shape(estimator, shape, reset)
    check_scale(estimator, of_kept_type(row[None]), reset)
    centring = _kept_centring(estimator)
    return X if centring is None else CentredItems(X, centring)


def _read_lazy(estimator: Any, X: LazyRows, reset: bool) -> LazyRows:
    """Rows on disk: in fit looked at once, block by block; vectors are centred as those in memory are."""
    least, array = _least_rows(reset), X.array
    if len(X) < least:
        raise ValueError(f"Found array with {len(X)} sample(s) while a minimum of {least} is required.")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"X holds {array.dtype}, no numbers.")
    _check_axes(array.shape)
    head, names = array[0:least], row_names(X)
    named = head if names is None else pd.DataFrame(head, columns=list(names))
    if reset or head.ndim == 2:  # axes of pictures may come in another order than in fit
        validate_data(estimator, named, reset=reset, skip_check_array=True)
    _check_row_shape(estimator, tuple(channels_first(torch.empty(head.shape)).shape[1:]), reset)
    check_scale(estimator, to_tensor(head), reset)
    if head.ndim == 2:
        X.centring = _centring(estimator, array, reset)
    if reset:
        X.check_finite()
    return X


def _least_rows(reset: bool) -> int:
    """Fewest rows that X may have: 2 in fit, 1 afterwards."""
    return 2 if reset else 1


def _centring(estimator: Any, x: Any, reset: bool) -> Centring | None:
    """Offset and scale of the columns of x (n, d), in fit learnt and kept, afterwards those of the fit; or None."""
    if reset and (learnt := learn_centring(x)) is not None:
        estimator.input_offset_, estimator.input_scale_ = learnt
    return _kept_centring(estimator)


def _kept_centring(estimator: Any) -> Centring | None:
    """Offset and scale of the columns that the estimator has; or None."""
    offset = getattr(estimator, "input_offset_", None)  # files of earlier versions have none
    return None if offset is None else (offset, estimator.input_scale_)


def _check_axes(shape: tuple[int, ...]) -> None:
    """Raise ValueError if X has more axes than pictures have, or an empty one."""
    if len(shape) > 4:
        raise ValueError(f"X must have 2 dimensions (rows) or 3 or 4 (images), got shape {shape}.")
    if 0 in shape:
        raise ValueError(f"X has an axis of length 0: shape {shape}.")


def _check_row_shape(estimator: Any, shape: tuple[int, ...], reset: bool) -> None:
    """Raise ValueError if rows have another shape than in fit."""
    views = getattr(estimator, "views_", None)  # in the middle of a first fit there are none
    if not reset and views is not None and shape != views.row_shape:
        raise ValueError(f"X has rows of shape {shape}, but was fitted with rows of shape {views.row_shape}.")


def _refuse_flat_pictures(estimator: Any, X: Any) -> None:
    """Raise ValueError for 2-D rows where fit saw pictures, of which ``n_features_in_`` says little."""
    shape = getattr(getattr(estimator, "views_", None), "row_shape", ())
    if len(shape) > 1 and len(np.shape(X)) == 2:
        raise ValueError(
            f"X has rows of shape {np.shape(X)[1:]}, but was fitted with rows of shape {shape}: give "
            f"pictures as (n, H, W), (n, H, W, C) or (n, C, H, W)."
        )


def make_source(rows: Tensor | Dataset, device: torch.device, options: dict[str, Any] | None = None) -> Source:
    """The rows as a source on a device; ``options`` are those of `worker_options`, for a Dataset."""
    return ArraySource(rows, device) if isinstance(rows, Tensor) else DatasetSource(rows, device, options)


def read_some(source: Source, rows: Tensor) -> Tensor:
    """The rows of these indices (m,): (m, ...), where float64 lives."""
    with opened(source):
        return next(iter(source.stream([rows]))).to(float64_device(source.device))
