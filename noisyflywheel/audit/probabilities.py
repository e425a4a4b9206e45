"""Audit of labels from class probabilities that the caller has: of any model, in any library."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from noisyflywheel.audit.cross_val import CrossValAudit, audit_of, index_of
from noisyflywheel.estimator.labels import read_labels
from noisyflywheel.exceptions import FlywheelWarning

SUM_OFF = 1e-2
"""How far a row may sum from 1: probabilities in half precision do by a thousandth."""


def audit_probabilities(pred_proba: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> CrossValAudit:
    """Judge each label by class probabilities of a model that never saw its row.

    Parameters
    ----------
    pred_proba : array-like or DataFrame of shape (n, K)
        Of held-out rows, as `sklearn.model_selection.cross_val_predict(..., method="predict_proba")` returns it; rows
        sum to 1. The columns of a DataFrame that are named as classes say which is which.
    y : array-like of shape (n,)
        Given labels.
    classes : array-like of shape (K,), optional
        Class of each column. By default the sorted classes of y; where y has fewer and holds codes, 0 … K-1.

    Returns
    -------
    audit : CrossValAudit

    Raises
    ------
    ValueError
        For probabilities of another shape, that are not finite or not in [0, 1], or whose rows do not sum to 1; for
        classes that are not K different ones or lack a label of y; for y with missing labels or one class.

    Warns
    -----
    FlywheelWarning
        If the given labels are less likely than by chance, as with columns in another order.

    Examples
    --------
    >>> from noisyflywheel.audit import audit_probabilities
    >>> audit_probabilities([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.9, 0.1]], ["a", "a", "b", "b"]).classes_.tolist()
    ['a', 'b']
    """
    labels, found, _ = read_labels(pred_proba, y)
    proba = _checked(pred_proba)
    names = _column_classes(pred_proba, proba.shape[1], found, classes)
    order = np.argsort(names, kind="stable")
    names, proba = names[order], proba[:, order]
    given = np.searchsorted(names, labels)
    if (mean := float(proba[np.arange(given.size), given].mean())) < 1 / names.size:
        warnings.warn(
            f"the given labels have a mean probability of {mean:.2g}, less than by chance: are the columns of "
            "pred_proba in the order of the classes?",
            FlywheelWarning,
            stacklevel=2,
        )
    return audit_of(proba, labels, names, given.astype(np.int64), index=index_of(y, pred_proba))


def _checked(pred_proba: ArrayLike) -> NDArray[np.float64]:
    """Probabilities as float64 (n, K) whose rows sum to 1."""
    proba = np.asarray(pred_proba, dtype=np.float64)
    if proba.ndim != 2:
        raise ValueError(f"pred_proba must have shape (n, K); got {proba.shape}")
    bad = ~((proba >= 0) & (proba <= 1 + SUM_OFF)).all(axis=1)
    if bad.any():
        raise ValueError(f"pred_proba must hold probabilities in [0, 1]; row {int(bad.argmax())} does not")
    sums = proba.sum(axis=1, keepdims=True)
    off = np.abs(sums[:, 0] - 1) > SUM_OFF
    if off.any():
        row = int(off.argmax())
        raise ValueError(f"the rows of pred_proba must sum to 1; row {row} sums to {sums[row, 0]:.4g}")
    return proba / sums


def _column_classes(pred_proba: Any, n_columns: int, found: NDArray[Any], classes: ArrayLike | None) -> NDArray[Any]:
    """Class of each column, of shape (K,); `found` are those of y."""
    if classes is not None:
        names = np.asarray(classes)
    elif isinstance(pred_proba, pd.DataFrame) and pd.Index(found).isin(pred_proba.columns).all():
        names = np.asarray(pred_proba.columns)
    elif found.dtype.kind in "iu" and found.size < n_columns and found[0] >= 0 and found[-1] < n_columns:
        names = np.arange(n_columns)
    else:
        names = found
    known = set(names.tolist())
    if names.shape != (n_columns,) or len(known) < n_columns:
        raise ValueError(f"pred_proba has {n_columns} columns for {names.size} classes: name each with classes=")
    unknown = [label for label in found.tolist() if label not in known]
    if unknown:
        raise ValueError(f"y has the label {unknown[0]!r}, which is not among the classes {names.tolist()[:5]}")
    return names
