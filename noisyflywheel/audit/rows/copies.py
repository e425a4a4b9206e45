"""Copies among rows of any kind that lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from torch import Tensor

from noisyflywheel.audit.rows.identity import row_hashes
from noisyflywheel.data.lazy import is_large_map
from noisyflywheel.estimator.inputs.copies import find_copies


def copies_in(X: Any, codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """`find_copies` of rows in memory: (n,); None without copies and for any other X.

    Parameters
    ----------
    X : array-like, sparse matrix, Tensor or DataFrame of n rows, texts of shape (n,), or anything else
    codes : ndarray of shape (n,), int64
        Labels.
    """
    x = None if is_large_map(X) else _as_numbers(X)
    if x is None or not x.size or x.dtype.itemsize > 8:
        return None
    return find_copies(x.reshape(len(x), -1), np.asarray(codes, dtype=np.int64))


def _as_numbers(X: Any) -> NDArray[Any] | None:
    """Numbers (n, ...) that are equal where rows are; None for what is neither an array nor texts."""
    if isinstance(X, list) and X and isinstance(X[0], str | list | np.ndarray):
        X = np.asarray(X) if len({np.shape(row) for row in X}) == 1 else None
    if issparse(X):
        return _of_sparse(X)
    if isinstance(X, Tensor) and X.layout == torch.strided:
        X = X.detach().cpu()
        X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()  # numpy has no bfloat16
    if isinstance(X, pd.Series) or (isinstance(X, np.ndarray) and X.ndim < 3 and X.dtype.kind not in "biuf"):
        X = pd.DataFrame(X)
    if isinstance(X, pd.DataFrame) and X.shape[1]:
        return np.column_stack([row_hashes(X.iloc[:, place]) for place in range(X.shape[1])]).view(np.int64)
    return X if isinstance(X, np.ndarray) and X.ndim > 1 and X.dtype.kind in "biuf" else None


def _of_sparse(X: Any) -> NDArray[np.int64]:
    """One number for each row of a sparse matrix: (n, 1)."""
    rows = X.tocsr(copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    ends = zip(rows.indptr[:-1], rows.indptr[1:], strict=True)
    marks = [rows.indices[start:end].tobytes() + rows.data[start:end].tobytes() for start, end in ends]
    return pd.factorize(np.array(marks, dtype=object))[0][:, None]
