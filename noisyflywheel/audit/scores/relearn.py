"""A second look after people have decided: what they know is fixed, the other labels are judged anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import _safe_indexing, check_consistent_length, indexable
from sklearn.utils.validation import _num_samples, has_fit_parameter

from noisyflywheel.audit.changes.corrections import relabelled
from noisyflywheel.audit.changes.decisions import known_labels
from noisyflywheel.audit.rows.identity import index_of, is_label
from noisyflywheel.audit.rows.matching import check_is_table, match_rows, with_labels_of
from noisyflywheel.audit.scores.class_labels import as_audited
from noisyflywheel.audit.scores.cross_val import CrossValAudit, cross_val_audit, one_each
from noisyflywheel.audit.scores.folds import folds_among
from noisyflywheel.audit.scores.held_out import fit_weighted
from noisyflywheel.audit.scores.learners import check_judges, last_step
from noisyflywheel.estimator.fitted.issues import lowest_quality, n_label_issues
from noisyflywheel.estimator.inputs.labels import check_same_index, one_column

CONFIRMED_WEIGHT = 2.0
"""How much a confirmed row counts beside one whose label may be wrong."""


@dataclass(frozen=True, eq=False, repr=False)
class RelearntAudit(CrossValAudit):
    """Verdicts after decisions, under the attribute names of a fitted `FlywheelClassifier`.

    `clean_proba_` and `label_quality` are 1 for decided rows, whose `refurbished_label` is what was decided.

    Attributes
    ----------
    decided_ : ndarray of bool of shape (n,)
        Rows whose label is known, or that are dropped.
    model : estimator
        Fitted on the labels as they are known now.
    """

    decided_: NDArray[np.bool_]
    model: Any


def relearn(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    issues: pd.DataFrame,
    decisions: pd.DataFrame,
    *,
    weight: float = CONFIRMED_WEIGHT,
    cv: Any = None,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
) -> RelearntAudit:
    """Learn again from labels that people have decided, and judge those that nobody has.

    An accepted or set label takes the place of the given one, a rejected suggestion confirms it: in Eqs. 4 and 11 these
    rows have q = 1. Dropped rows are learnt from no more; skipped ones are undecided.

    Parameters
    ----------
    estimator : classifier with predict_proba
        It is fitted in place on the labels as they are known now. Where its `fit` takes `sample_weight`, confirmed
        rows count `weight` times. Without `cv` it must be a `FlywheelClassifier`, which judges its own rows.
    X : array-like, DataFrame or SliceDataset of N rows
    y : array-like of shape (N,), or one column
        The given labels, as they were judged or as `audit_table` took them: fractions and labels of several types
        are learnt as text.
    issues : DataFrame of n rows
        Of the audit that was decided on. Rows that have no label need not be in it; they are left out.
    decisions : DataFrame
        As in `apply_corrections`; all of them, those of earlier rounds too.
    weight : float, default 2
        Above 0.
    cv, groups, random_state
        As in `cross_val_audit`; None judges by the fit on all rows. A PredefinedSplit and an iterable of folds number
        the N rows of X, dropped ones too.

    Returns
    -------
    audit : RelearntAudit
        Of n rows. Its `issues` have the given labels of y and one more column, `decided`; decided rows are no issue.
        It goes, with all decisions, into `apply_corrections` and into the next `relearn`.

    Raises
    ------
    TypeError
        If there is no `cv` and the estimator does not judge its own rows, or issues or decisions are no DataFrame;
        with `cv` as `cross_val_audit`.
    ValueError
        As `apply_corrections`, for X and y of different indices, for a row with a label that is not in issues, and for
        a weight that is not above 0.
    """
    if not weight > 0:
        raise ValueError(f"weight must be above 0; got {weight!r}")
    check_judges(estimator, cv)
    check_is_table("issues", issues)
    check_same_index(X, y := one_column(y))
    issues = with_labels_of(issues, y)
    at = match_rows(issues, X, y)
    numbered = issues.assign(row=at + 1).reset_index(drop=True) if "row" not in issues else issues
    known = known_labels(numbered, decisions)
    groups, rows, n = one_each("groups", groups, X, y), np.sort(at), _num_samples(y)
    if rows.size < n:
        _check_unlabelled(y, rows)
        X, y, groups = _some((X, y, groups), rows)
    known = known.assign(place=np.searchsorted(rows, at[known["place"]]))
    cv = folds_among(cv, rows, n)
    audit = judge_known(estimator, X, as_audited(y), known, weight, cv, groups, random_state)
    names = [name for name in ("row", "fingerprint") if name in issues]
    kept = issues[names].iloc[np.argsort(at)].set_axis(audit.issues.index)
    audit.issues[names] = kept
    return audit


def _check_unlabelled(y: Any, rows: NDArray[np.intp]) -> None:
    """Refuse issues of some `rows` only, where one of the others has a label."""
    left_out = is_label(pd.Series(y))
    left_out[rows] = False
    if left_out.any():
        row = int(left_out.argmax())
        raise ValueError(
            f"issues has {rows.size} rows, the data has {left_out.size}: row {row + 1} is not in issues and has the "
            f"label {np.asarray(y, dtype=object)[row]!r}. Make it None if it stands for a missing label, else pass the "
            "data that was judged"
        )


def _some(parts: tuple[Any, ...], rows: NDArray[np.intp]) -> list[Any]:
    """Some rows of each part that there is."""
    check_consistent_length(*parts)
    return [None if part is None else _safe_indexing(indexable(part)[0], rows) for part in parts]


def judge_known(
    estimator: Any,
    X: Any,
    y: ArrayLike,
    known: pd.DataFrame,
    weight: float = CONFIRMED_WEIGHT,
    cv: Any = None,
    groups: ArrayLike | None = None,
    random_state: int | None = 0,
) -> RelearntAudit:
    """`relearn` with what is known as `place` in y, `label` and `drop`, one line per decided row."""
    index, given = index_of(y, X), pd.Series(y).reset_index(drop=True)
    groups = one_each("groups", groups, X, y)
    labels, decided, weights = _as_known(given, known, weight)
    kept = np.flatnonzero(weights > 0)
    if kept.size < len(labels):
        X, groups = _some((X, groups), kept)
        cv = folds_among(cv, kept, len(labels))
    counts = weights[kept] if has_fit_parameter(last_step(estimator), "sample_weight") else None
    learnt = labels.to_numpy()[kept]
    fit_weighted(estimator, X, learnt, counts)
    judged = last_step(estimator)
    if cv is not None:
        judged = cross_val_audit(
            estimator, X, learnt, cv=cv, groups=groups, random_state=random_state, sample_weight=counts
        )
    return _merged(judged, estimator, given, labels, decided, kept, index)


def _as_known(
    given: pd.Series, known: pd.DataFrame, weight: float
) -> tuple[pd.Series, NDArray[np.bool_], NDArray[np.float64]]:
    """Labels as they are known now, which rows are decided, and what each row counts: all of shape (n,)."""
    places, drop = known["place"].to_numpy(dtype=np.intp), known["drop"].to_numpy(dtype=bool)
    labels = relabelled(given, places[~drop], list(known["label"][~drop]))
    decided, weights = np.zeros(len(given), dtype=bool), np.ones(len(given))
    decided[places] = True
    weights[places] = np.where(drop, 0.0, weight)
    return labels, decided, weights


def _merged(
    judged: Any,
    model: Any,
    given: pd.Series,
    labels: pd.Series,
    decided: NDArray[np.bool_],
    kept: NDArray[np.intp],
    index: Any,
) -> RelearntAudit:
    """Verdicts on all rows: what is known where it is, what the model says elsewhere."""
    classes = np.unique(np.concatenate([np.asarray(judged.classes_), pd.unique(labels).astype(judged.classes_.dtype)]))
    seen = np.searchsorted(classes, judged.classes_)
    T = np.eye(classes.size)
    T[np.ix_(seen, seen)] = judged.transition_matrix_
    proba = np.zeros((len(given), classes.size))
    proba[np.ix_(kept, seen)] = judged.refurbished_proba_
    proba[decided] = np.eye(classes.size)[np.searchsorted(classes, labels.to_numpy(dtype=classes.dtype)[decided])]
    clean = np.ones(len(given))
    clean[kept] = judged.clean_proba_
    clean[decided] = 1.0
    issues = _issues(judged.get_label_issues(), clean, given, labels, decided, kept)
    return RelearntAudit(classes, clean, proba, T, issues if index is None else issues.set_axis(index), decided, model)


def _issues(
    said: pd.DataFrame,
    clean: NDArray[np.float64],
    given: pd.Series,
    labels: pd.Series,
    decided: NDArray[np.bool_],
    kept: NDArray[np.intp],
) -> pd.DataFrame:
    """Table of labels of n rows; of the undecided, as many are suspect as are expected to be wrong."""
    place, dropped = np.zeros(len(given), dtype=np.intp), np.setdiff1d(np.arange(len(given)), kept)
    place[kept] = np.arange(len(kept))
    issues = said.iloc[place].reset_index(drop=True)  # not by `reindex`: the labels keep their type
    issues["given_label"] = given.to_numpy()
    issues.loc[dropped, "predicted_label"] = given.to_numpy()[dropped]
    issues.loc[dropped, "predicted_confidence"] = np.nan
    issues.loc[decided, ["label_quality", "refurbished_confidence"]] = 1.0
    issues.loc[decided, "refurbished_label"] = labels.to_numpy()[decided]
    issues["is_label_issue"] = False
    open_rows = np.flatnonzero(~decided)
    quality = issues["label_quality"].to_numpy(dtype=np.float64)[open_rows]
    issues.loc[open_rows, "is_label_issue"] = lowest_quality(quality, n_label_issues(clean[open_rows]))
    return issues.assign(decided=decided)
