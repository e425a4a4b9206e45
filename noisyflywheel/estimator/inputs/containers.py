"""What X may come in: kinds that are refused with a word, and those in memory as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import issparse
from skorch.helper import SliceDataset
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from noisyflywheel.data import on_host, without_mask
from noisyflywheel.data.pictures import SUFFIXES, is_paths, lists_pictures, stacked_pictures
from noisyflywheel.estimator.inputs.labels import kind_of


def is_dataset(X: Any) -> bool:
    """Whether X is a torch Dataset or skorch's SliceDataset of one."""
    return isinstance(X, (Dataset, SliceDataset)) and not isinstance(X, Tensor)


def check_container(X: Any) -> None:
    """Raise TypeError for kinds of X that skorch's nets take and the flywheel does not; says what to pass instead."""
    kind = type(X).__name__
    if isinstance(X, DataLoader):
        raise TypeError(f"X is a {kind}: pass its Dataset, X.dataset. Batches have the batch_size of the nets.")
    if isinstance(X, IterableDataset) or (is_dataset(X) and not hasattr(X, "__len__")):
        raise TypeError("The Dataset has no length: rows are asked for by index, an IterableDataset has none.")
    if isinstance(X, Mapping) and not issparse(X):
        raise TypeError(f"X is a {kind}, but rows are one array: join the parts, and let the module take them apart.")
    if isinstance(X, (list, tuple)) and X and isinstance(X[0], Mapping):
        raise TypeError(f"X is a {kind} of {type(X[0]).__name__}s: pass pd.DataFrame(X), or the pictures in them.")
    column = X.iloc[:, 0] if isinstance(X, pd.DataFrame) and X.shape[1] == 1 else X
    if column is not X and lists_pictures(column):
        raise TypeError(f"X is a {kind} of pictures: pass its column, X[{column.name!r}].")
    if is_paths(column) and Path(next(iter(column))).suffix.lower() in SUFFIXES:
        raise TypeError(
            f"X is a {kind} of file names: pass a Dataset that reads them, such as "
            f"noisyflywheel.datasets.ImageFiles, or the pictures in them."
        )
    if isinstance(X, list) and X and isinstance(X[0], tuple) and any(isinstance(part, Tensor) for part in X[0]):
        raise TypeError(
            "X is a list of a Dataset's items, as scikit-learn's cross-validation makes of one: pass "
            "skorch.helper.SliceDataset(dataset) as X and the labels as y."
        )


def as_array(X: Any) -> Any:
    """Tensors, lists of pictures and masked arrays as arrays; refuses what scikit-learn would turn into numbers."""
    X = stacked_pictures(X)
    if isinstance(X, Tensor):
        if X.layout != torch.strided:
            raise TypeError("X is a sparse tensor, but dense rows are required: pass X.to_dense().")
        return on_host(X)
    kinds = [dtype.kind for dtype in X.dtypes] if isinstance(X, pd.DataFrame) else [kind_of(X)]
    if any(kind in "mM" for kind in kinds):
        raise TypeError("X holds dates or durations (datetime64 or timedelta64): turn them into numbers.")
    return _without_na(X) if "O" in kinds else without_mask(X)


def _without_na(X: Any) -> Any:
    """Objects, an array or a DataFrame of them, with NaN for pandas' NA, which is no float."""
    X = without_mask(X)
    cells = np.where(pd.isna(X), np.nan, X.to_numpy(object) if isinstance(X, pd.DataFrame) else X)
    return pd.DataFrame(cells, X.index, X.columns) if isinstance(X, pd.DataFrame) else cells
