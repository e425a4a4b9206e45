"""What a fit is given, X, y and sample_weight, once it has passed every check."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.estimator.inputs.labels import check_one_input, check_same_index, read_labels
from noisyflywheel.estimator.inputs.rows import read_rows
from noisyflywheel.estimator.inputs.sample_weight import check_sample_weight
from noisyflywheel.persistence import data_fingerprint


class LabelledRows(NamedTuple):
    """The n rows of a fit, their given labels and their weights, in the caller's order."""

    rows: Tensor | Dataset
    """(n, ...), as `read_rows` returns them."""
    labels: NDArray[Any]
    """Given labels in the caller's type: (n,)."""
    classes: NDArray[Any]
    """The different labels, sorted: (K,)."""
    codes: NDArray[np.int64]
    """Given labels as positions in ``classes``, 0..K-1: (n,)."""
    weights: NDArray[np.float64] | None
    """Sample weights, at least 0: (n,); None where they change nothing."""
    row_names: pd.Index | None
    """Index of the caller's X or y; None where neither is a pandas object."""

    def fingerprint(self) -> str:
        """Hash of rows, labels and weights."""
        codes = self.codes
        if self.weights is not None:
            codes = np.concatenate([codes, self.weights.view(np.int64)])
        return data_fingerprint(self.rows, codes, self.classes)


def labelled_rows(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LabelledRows:
    """Check X, y and sample_weight as `FlywheelClassifier.fit` was given them, one by one and against each other.

    ``estimator`` gets the attributes that `read_rows` learns from X, such as ``n_features_in_``.

    Raises
    ------
    TypeError, ValueError
        If y is None, or for what `check_one_input`, `read_rows`, `read_labels`, `check_sample_weight` and
        `check_same_index` refuse.
    """
    if y is None:
        name = type(estimator).__name__
        raise ValueError(f"{name} requires y to be passed, but the target y is None: labels are what it audits.")
    check_one_input(X, y)
    rows = read_rows(estimator, X, reset=True)
    labels, classes, codes = read_labels(X if hasattr(X, "shape") or hasattr(X, "__len__") else rows, y)
    row_names = next((data.index for data in (X, y) if isinstance(data, (pd.DataFrame, pd.Series))), None)
    weights = check_sample_weight(sample_weight, codes)
    for name, paired in (("X", X), ("y", y)):
        check_same_index(paired, sample_weight, (name, "sample_weight"))
    return LabelledRows(rows, labels, classes, codes, weights, row_names)
