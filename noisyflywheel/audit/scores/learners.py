"""What an audit by cross-validation asks of a classifier, and of the probabilities that it returns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

SUM_OFF = 1e-2
"""How far a row may sum from 1: probabilities in half precision do by a thousandth."""


def last_step(model: Any) -> Any:
    """Final estimator of a pipeline, or the model itself."""
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def check_judges(model: Any, cv: Any) -> None:
    """Raise an error for a model that cannot judge labels.

    Without `cv` it does so by its fit on all rows, else as `check_learner` says.

    Raises
    ------
    TypeError, AttributeError
    """
    last = last_step(model)
    if cv is not None:
        check_learner(model)
    elif not hasattr(last, "get_label_issues"):
        raise TypeError(f"{type(last).__name__} does not judge the labels that it learns: give cv, such as cv=5")


def check_learner(model: Any) -> None:
    """Raise an error for a model that cannot judge rows after it has learnt others.

    Raises
    ------
    TypeError
        If it is frozen, or an ensemble of a frozen classifier: nobody knows which rows that has learnt.
    AttributeError
        If it has no `predict_proba`, and is no ensemble of several, which may have it once it is fitted.
    """
    last = last_step(model)
    parts = [last, *getattr(last, "get_params", dict)().values()]
    if any(isinstance(part, FrozenEstimator) and is_classifier(part) for part in parts):
        raise TypeError(
            "a FrozenEstimator may have learnt the rows that it is to judge: pass the estimator in it, or what its "
            "predict_proba says of rows that it has not learnt to audit_probabilities"
        )
    if hasattr(model, "predict_proba"):
        return
    if not any(name.endswith("estimators") for name in clone(model).get_params()):
        check_predicts(model)


def check_predicts(model: Any) -> None:
    """Raise AttributeError for a model without `predict_proba`."""
    if not hasattr(model, "predict_proba"):
        raise AttributeError(
            f"{type(last_step(model)).__name__} has no predict_proba, which an audit needs: wrap it in scikit-learn's "
            "CalibratedClassifierCV, or pass probabilities of held-out rows to audit_probabilities"
        )


def checked_probabilities(
    proba: ArrayLike, name: str = "pred_proba", rows: NDArray[np.intp] | None = None
) -> NDArray[np.float64]:
    """Probabilities (n, K) as float64, as they are.

    Parameters
    ----------
    proba : array-like of shape (n, K)
    name : str
        What an error calls them.
    rows : ndarray of shape (n,), optional
        The number that an error gives to each row.

    Raises
    ------
    ValueError
        If one is not in [0, 1], or a row does not sum to 1 within `SUM_OFF`.
    """
    found = np.asarray(proba, dtype=np.float64)
    rows = np.arange(len(found)) if rows is None else rows
    bad = ~((found >= 0) & (found <= 1 + SUM_OFF)).all(axis=1)
    if bad.any():
        raise ValueError(f"{name} must hold probabilities in [0, 1]; row {int(rows[bad.argmax()])} does not")
    sums = found.sum(axis=1)
    off = np.abs(sums - 1) > SUM_OFF
    if off.any():
        row = int(off.argmax())
        raise ValueError(f"the rows of {name} must sum to 1; row {int(rows[row])} sums to {sums[row]:.4g}")
    return found
