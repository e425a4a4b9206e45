"""Audit by cross-validation: each label is judged by a model that never saw its row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.multiclass import check_classification_targets

from noisyflywheel.audit.posterior import (
    fit_temperature,
    noisy_class_posterior,
    sharpen,
    true_class_posterior,
)
from noisyflywheel.audit.tables import class_summary, label_issues_frame


@dataclass(frozen=True, eq=False)
class CrossValAudit:
    """Out-of-fold verdicts under the attribute names of a fitted `FlywheelClassifier`.

    Attributes
    ----------
    classes_ : ndarray of shape (K,)
    clean_proba_ : ndarray of shape (n,)
        Probability that the given label is right, in [0, 1].
    refurbished_proba_ : ndarray of shape (n, K)
        p(true class | x, given label); rows sum to 1.
    transition_matrix_ : ndarray of shape (K, K)
        T, rows = true class, columns = given class; rows sum to 1.
    issues : DataFrame of n rows
        As `get_label_issues` returns it.
    """

    classes_: NDArray[Any]
    clean_proba_: NDArray[np.float64]
    refurbished_proba_: NDArray[np.float64]
    transition_matrix_: NDArray[np.float64]
    issues: pd.DataFrame

    @property
    def clean_rate_(self) -> float:
        """Mean of `clean_proba_`."""
        return float(self.clean_proba_.mean())

    @property
    def refurbished_labels_(self) -> NDArray[Any]:
        """Likeliest true classes, of shape (n,)."""
        return self.classes_[self.refurbished_proba_.argmax(axis=1)]

    def get_label_issues(self) -> pd.DataFrame:
        """Table of labels, a copy."""
        return self.issues.copy()

    def get_class_summary(self) -> pd.DataFrame:
        """Table of classes."""
        return class_summary(self.issues, self.classes_, self.transition_matrix_, self.clean_proba_)


def _last_step(model: Any) -> Any:
    """Final estimator of a pipeline, or the model itself."""
    return model.steps[-1][1] if isinstance(model, Pipeline) else model


def _no_score(model: Any, X: Any, y: Any) -> float:
    """Nothing: the folds are scored afterwards."""
    return 0.0


def _aligned(proba: NDArray[Any], seen: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities (m, K) with zero columns for the classes that a fold's model never saw."""
    full = np.zeros((proba.shape[0], classes.size))
    full[:, np.searchsorted(classes, seen)] = proba
    return full


def _fold_transition(model: Any, classes: NDArray[Any]) -> NDArray[np.float64] | None:
    """T of one fold's model over all classes; None if the model has none."""
    last = _last_step(model)
    if not hasattr(last, "transition_matrix_"):
        return None
    at = np.searchsorted(classes, last.classes_)
    full = np.eye(classes.size)
    full[np.ix_(at, at)] = last.transition_matrix_
    return full


def _out_of_fold(
    estimator: Any, X: Any, y: NDArray[Any], classes: NDArray[Any], cv: Any, n_jobs: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Probabilities (n, K) of held-out rows, and the mean T of the folds' models (None if they have none)."""
    folds = cross_validate(
        estimator,
        X,
        y,
        cv=cv,
        n_jobs=n_jobs,
        scoring=_no_score,
        return_estimator=True,
        return_indices=True,
        error_score="raise",
    )
    proba = np.full((y.shape[0], classes.size), np.nan)
    for model, rows in zip(folds["estimator"], folds["indices"]["test"], strict=True):
        proba[rows] = _aligned(model.predict_proba(_safe_indexing(X, rows)), model.classes_, classes)
    if np.isnan(proba).any():
        raise ValueError("cv must hold out every row once, and predict_proba must be finite")
    matrices = [_fold_transition(model, classes) for model in folds["estimator"]]
    known = [T for T in matrices if T is not None]
    return proba, np.mean(known, axis=0) if known else None


def _index_of(*tables: Any) -> pd.Index | None:
    """Index of the first argument that has one."""
    return next((t.index for t in tables if isinstance(t, pd.DataFrame | pd.Series)), None)


def _posteriors(
    proba: NDArray[np.float64], given: NDArray[np.int64], T: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """p(true | x), p(true | x, given), T: of a model that knows its T, or of any classifier."""
    if T is None:
        return noisy_class_posterior(proba, given)
    clean = sharpen(proba, fit_temperature(proba, T, given))
    return clean, true_class_posterior(clean, T, given), T


def cross_val_audit(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    *,
    cv: Any = 5,
    n_jobs: int | None = None,
    random_state: int | None = 0,
) -> CrossValAudit:
    """Judge each label by a model that never saw its row, and keep all that was estimated.

    Parameters
    ----------
    estimator : classifier with predict_proba
        A `FlywheelClassifier`, whose own T is used, or any scikit-learn classifier, whose T is counted by
        confident learning. It is cloned, never fitted in place.
    X : array-like, DataFrame or SliceDataset of n rows
    y : array-like of shape (n,)
        Given labels.
    cv : int, splitter or iterable, default 5
        An int shuffles and stratifies; a splitter must hold out every row once.
    n_jobs : int, optional
        Folds fitted at a time.
    random_state : int, optional
        Seed of the shuffle for an int `cv`.

    Returns
    -------
    audit : CrossValAudit

    Raises
    ------
    ValueError
        If y has fewer than two classes, or a row is never held out.
    """
    labels = np.asarray(y)
    check_classification_targets(labels)
    classes, given = np.unique(labels, return_inverse=True)
    if classes.size < 2:
        raise ValueError("cross_val_label_issues needs at least two classes in y")
    if isinstance(cv, int):
        cv = StratifiedKFold(cv, shuffle=True, random_state=random_state)
    proba, T = _out_of_fold(estimator, X, labels, classes, cv, n_jobs)
    f, q, T = _posteriors(proba, given, T)
    clean_proba = q[np.arange(given.size), given]
    index = _index_of(y, X)
    issues = label_issues_frame(labels, classes, clean_proba, clean_proba, f, q, index)
    return CrossValAudit(classes, clean_proba, q, T, issues)


def cross_val_label_issues(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    cv: Any = 5,
    n_jobs: int | None = None,
    *,
    random_state: int | None = 0,
) -> pd.DataFrame:
    """Verdict on each label by a model that never saw its row.

    Trust this over the in-sample scores where the classifier can learn its rows by heart (few rows, many
    features, no augmentation); it costs `cv` fits, and each model sees fewer rows. The table has the columns
    of `FlywheelClassifier.get_label_issues`; `label_quality` is the calibrated probability that the label is
    right. Parameters and errors as `cross_val_audit`.

    Returns
    -------
    issues : DataFrame of n rows
        Index of y or X kept.
    """
    audit = cross_val_audit(estimator, X, y, cv=cv, n_jobs=n_jobs, random_state=random_state)
    return audit.get_label_issues()
