"""Copies among rows of any kind that lie in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisyflywheel.audit.rows.identity import row_hashes
from noisyflywheel.data.lazy import is_large_map
from noisyflywheel.estimator.inputs.copies import find_copies


def copies_in(X: Any, codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """`find_copies` of the rows of an array or DataFrame: (n,); None without copies, for any other X, and one on disk.

    Parameters
    ----------
    X : ndarray, Tensor or DataFrame of n rows, or anything else
    codes : ndarray of shape (n,), int64
        Labels.
    """
    if is_large_map(X):
        return None
    if isinstance(X, Tensor) and X.layout == torch.strided:
        X = X.detach().cpu().double().numpy()
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind not in "biuf":
        X = pd.DataFrame(X)
    if isinstance(X, pd.DataFrame) and X.shape[1]:
        X = np.column_stack([row_hashes(X.iloc[:, place]) for place in range(X.shape[1])]).view(np.int64)
    if not isinstance(X, np.ndarray) or X.ndim < 2 or not X.size or X.dtype.itemsize > 8:
        return None
    return find_copies(X.reshape(len(X), -1), np.asarray(codes, dtype=np.int64))
