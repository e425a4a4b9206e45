"""Audit by cross-validation: each label is judged by a model that never saw its row."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.model_selection import check_cv
from sklearn.utils import indexable
from sklearn.utils.parallel import Parallel, delayed

from noisyflywheel.audit.rows.identity import index_of
from noisyflywheel.audit.scores.estimates import audit_line
from noisyflywheel.audit.scores.folds import folds_of, shuffled_folds, sortable
from noisyflywheel.audit.scores.held_out import kept_fold
from noisyflywheel.audit.scores.learners import check_learner
from noisyflywheel.audit.scores.posterior import TINY, Array, noisy_class_posterior, posterior_of_known
from noisyflywheel.data.paths import user_path
from noisyflywheel.estimator.fitted.class_tables import class_summary
from noisyflywheel.estimator.fitted.issues import label_issues_frame
from noisyflywheel.estimator.fitted.label_quality import calibrated
from noisyflywheel.estimator.inputs.labels import check_same_index, read_labels

OWN_SHARE = 1.5
"""How much the probability of the given label counts in the ranking, beside its posterior through a T found here."""


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

    def __repr__(self) -> str:
        """One line."""
        return audit_line(self)

    @property
    def clean_rate_(self) -> float:
        """Mean of `clean_proba_`."""
        return float(self.clean_proba_.mean())

    @property
    def refurbished_labels_(self) -> NDArray[Any]:
        """Likeliest true classes, of shape (n,)."""
        return self.classes_[self.refurbished_proba_.argmax(axis=1)]

    def get_label_issues(self) -> pd.DataFrame:
        """The table of labels (`issues`), a copy; columns as of `FlywheelClassifier.get_label_issues`."""
        return self.issues.copy()

    def get_class_summary(self) -> pd.DataFrame:
        """The table of classes, the worst noise rate first; columns as of `class_summary`."""
        clean_proba = pd.Series(self.clean_proba_, self.issues.index)
        return class_summary(self.issues, self.classes_, self.transition_matrix_, clean_proba)


def _out_of_fold(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    classes: NDArray[Any],
    cv: Any,
    groups: Any,
    n_jobs: int | None,
    sample_weight: NDArray[np.float64] | None,
    fold_dir: Path | None,
) -> tuple[Array, Array | None]:
    """Probabilities (n, K) of held-out rows, and the mean T of the folds' models (None if they have none)."""
    folds = folds_of(check_cv(cv, y, classifier=True), X, y, groups)
    judge = delayed(kept_fold)
    data = (fold_dir, estimator, X, y, classes)
    judged = Parallel(n_jobs=n_jobs)(judge(*data, train, test, sample_weight) for train, test in folds)
    proba = np.full((y.shape[0], classes.size), np.nan)
    for (part, _), (_, test) in zip(judged, folds, strict=True):
        proba[test] = part
    known = [T for _, T in judged if T is not None]
    return proba, np.mean(known, axis=0) if known else None


def _log_odds(p: Array) -> Array:
    """log(p / (1 - p)), finite."""
    return np.log(p + TINY) - np.log(1 - p + TINY)


def _quality(own: Array, through_T: Array, own_share: float) -> Array:
    """Ranking score (n,) of labels by their probabilities (n,) without T and with it: a mean in log odds.

    A T that few wrong labels have taught ranks worse than none, a good one better. ``own_share`` is what the
    probability without T counts, where that with it counts 1.
    """
    return np.asarray(expit((own_share * _log_odds(own) + _log_odds(through_T)) / (own_share + 1)))


def audit_of(
    proba: Array,
    labels: NDArray[Any],
    classes: NDArray[Any],
    given: NDArray[np.int64],
    T: Array | None = None,
    index: pd.Index | None = None,
) -> CrossValAudit:
    """Audit from probabilities (n, K) of rows that their models never saw; T (K, K) if the models know it."""
    if T is None:  # one that is found here counts less than one that the models know
        (clean, posterior, T), own_share = noisy_class_posterior(proba, given), OWN_SHARE
    else:
        (clean, posterior), own_share = posterior_of_known(proba, given, T), 1.0
    rows = np.arange(given.size)
    quality = _quality(proba[rows, given], posterior[rows, given], own_share)
    clean_proba = calibrated(quality, posterior[rows, given])
    issues = label_issues_frame(labels, classes, quality, clean_proba, clean, posterior, index)
    return CrossValAudit(classes, clean_proba, posterior, T, issues)


def cross_val_audit(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    *,
    cv: Any = 5,
    groups: ArrayLike | None = None,
    n_jobs: int | None = None,
    random_state: int | None = 0,
    sample_weight: ArrayLike | None = None,
    fold_dir: str | Path | None = None,
) -> CrossValAudit:
    """Judge each label by a model that never saw its row, and keep all that was estimated.

    Parameters
    ----------
    estimator : classifier with predict_proba
        A `FlywheelClassifier`, alone or at the end of a pipeline: its own T is used, and the mean of what both
        networks predict over its cycles. Or any scikit-learn classifier: T is a mixture of
        that of `noisyflywheel.em.averaged_posterior` and of confident learning's, by how far it tells classes apart.
        It is cloned, never fitted in place.
    X : array-like, DataFrame or SliceDataset of n rows
    y : array-like of shape (n,)
        Given labels.
    cv : int, splitter or iterable, default 5
        An int shuffles and stratifies, None is 5; without `groups` copies of a row are then held out together (of rows
        in memory). A splitter must hold out every row once.
    groups : array-like of shape (n,), optional
        Rows of equal value, such as those of one patient, are held out together, and so are those without a value.
        An int `cv` then means `StratifiedGroupKFold`; of splitters, those that look at groups do.
    n_jobs : int, optional
        Folds fitted at a time.
    random_state : int, optional
        Seed of the shuffle for an int `cv`.
    sample_weight : array-like of shape (n,), optional
        For the `fit` of a classifier that takes weights, or of a pipeline that ends in one.
    fold_dir : str or Path, optional
        Folder in which the result of each finished fold is kept: the same call goes on there after a stop.

    Returns
    -------
    audit : CrossValAudit

    Raises
    ------
    TypeError
        For a FrozenEstimator, which may have learnt any of the rows.
    AttributeError
        For a classifier without `predict_proba`.
    ValueError
        If X and y, groups or weights differ in length or index, y has fewer than two classes or a missing label, there
        are fewer groups than folds, a row is not held out once, a fold leaves one class only to a model that needs
        two, or `predict_proba` returns no probabilities: of another shape, not in [0, 1], rows that do not sum to 1.

    Warns
    -----
    FlywheelWarning
        If a class has fewer rows than there are stratified folds.
    """
    check_learner(estimator)
    labels, classes, given = read_labels(X, y)
    (X,) = indexable(X)
    together = one_each("groups", groups, X, y)
    together = None if together is None else sortable(together)
    weights = one_each("sample_weight", sample_weight, X, y)
    weights = None if weights is None else weights.astype(np.float64)
    cv = 5 if cv is None else cv
    if isinstance(cv, Integral):
        cv = shuffled_folds(int(cv), X, given, together, random_state)
    kept_in = None if fold_dir is None else user_path(fold_dir)
    proba, T = _out_of_fold(estimator, X, labels, classes, cv, together, n_jobs, weights, kept_in)
    return audit_of(proba, labels, classes, given, T, index_of(y, X))


def one_each(name: str, values: ArrayLike | None, X: Any, y: ArrayLike) -> NDArray[Any] | None:
    """An argument that has one value for each row, as an array (n,), if it was given.

    Raises
    ------
    ValueError
        If it has another shape than y, or another index than X or y.
    """
    if values is None:
        return None
    found, n = np.asarray(values), np.shape(y)[0]
    if found.shape != (n,):
        raise ValueError(f"{name} has shape {found.shape}, y has {(n,)}")
    check_same_index(X, values, ("X", name))
    check_same_index(y, values, ("y", name))
    return found


def cross_val_label_issues(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    cv: Any = 5,
    n_jobs: int | None = None,
    *,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
) -> pd.DataFrame:
    """Verdict on each label by a model that never saw its row.

    Trust this over the in-sample scores where the classifier can learn its rows by heart (few rows, many
    features, no augmentation); it costs `cv` fits, and each model sees fewer rows. The table has the columns
    of `FlywheelClassifier.get_label_issues`. Parameters and errors as `cross_val_audit`.

    Returns
    -------
    issues : DataFrame of n rows
        Index of y or X kept.
    """
    audit = cross_val_audit(estimator, X, y, cv=cv, groups=groups, n_jobs=n_jobs, random_state=random_state)
    return audit.get_label_issues()
