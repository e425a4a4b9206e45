"""The table of labels of an audit, one line per row, and which labels are suspects.

Pure functions on arrays; nothing here knows an estimator: estimators call it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

ISSUE_COLUMNS = (
    "is_label_issue",
    "label_quality",
    "given_label",
    "predicted_label",
    "predicted_confidence",
    "refurbished_label",
    "refurbished_confidence",
)


class MostLikely(NamedTuple):
    """The most likely class of each row."""

    code: NDArray[np.int64]
    """Among 0..K-1: (n,)."""
    confidence: NDArray[np.float64]
    """Its probability: (n,)."""


def most_likely(proba: NDArray[Any]) -> MostLikely:
    """That of distributions (n, K)."""
    return MostLikely(proba.argmax(axis=1), proba.max(axis=1).astype(np.float64))


def n_label_issues(clean_proba: ArrayLike) -> int:
    """Expected number of wrong labels, `round(sum(1 - clean_proba))`.

    Parameters
    ----------
    clean_proba : array-like of shape (n,)
        Probability, in [0, 1], that each given label is the true class.
    """
    p = np.asarray(clean_proba, dtype=np.float64)
    return int(np.rint(np.sum(1.0 - p)))


def lowest_quality(label_quality: ArrayLike, n_issues: int) -> NDArray[np.bool_]:
    """Mask of the `n_issues` rows of lowest quality; among equal ones the earlier row is taken.

    Parameters
    ----------
    label_quality : array-like of shape (n,)
        Higher = more likely right.
    n_issues : int
        Number of rows to mark, 0 to n.

    Returns
    -------
    mask : ndarray of bool of shape (n,)
    """
    quality = np.asarray(label_quality, dtype=np.float64)
    mask = np.zeros(quality.shape[0], dtype=bool)
    mask[np.argsort(quality, kind="stable")[:n_issues]] = True
    return mask


def label_issues_frame(
    given: ArrayLike,
    classes: ArrayLike,
    label_quality: ArrayLike,
    clean_proba: ArrayLike,
    pred_proba: ArrayLike,
    refurbished_proba: ArrayLike,
    index: Any = None,
) -> pd.DataFrame:
    """Verdict on each label, in the order of the rows.

    Parameters
    ----------
    given : array-like of shape (n,)
        Given labels, in the caller's label type.
    classes : array-like of shape (K,)
        Class labels, in the order of the probability columns.
    label_quality : array-like of shape (n,)
        Ranking score in [0, 1], higher = more likely right.
    clean_proba : array-like of shape (n,)
        Probability in [0, 1] that the given label is right; its sum fixes how many rows are issues.
    pred_proba, refurbished_proba : array-like of shape (n, K)
        Class probabilities without and with the knowledge of the given label.
    index : pandas.Index or array-like of shape (n,), optional
        Row names; 0 … n-1 if None.

    Returns
    -------
    issues : DataFrame of shape (n, 7)
        Columns `is_label_issue`, `label_quality`, `given_label`, `predicted_label`, `predicted_confidence`,
        `refurbished_label`, `refurbished_confidence`.

    Raises
    ------
    ValueError
        If the arrays do not agree on n or K.
    """
    labels, k = np.asarray(given), np.asarray(classes)
    quality = np.asarray(label_quality, dtype=np.float64)
    f, q = np.asarray(pred_proba), np.asarray(refurbished_proba)
    shape = (labels.shape[0], k.shape[0])
    if f.shape != shape or q.shape != shape or quality.shape != shape[:1]:
        raise ValueError(
            f"expected {shape[0]} scores and probabilities of shape {shape}, "
            f"got {quality.shape}, {f.shape} and {q.shape}"
        )
    return issues_of_classes(labels, k, quality, clean_proba, most_likely(f), most_likely(q), index)


def issues_of_classes(
    given: NDArray[Any],
    classes: NDArray[Any],
    label_quality: NDArray[np.float64],
    clean_proba: ArrayLike,
    predicted: MostLikely,
    refurbished: MostLikely,
    index: Any = None,
) -> pd.DataFrame:
    """`label_issues_frame`, where of each distribution the most likely class is known."""
    values = (
        lowest_quality(label_quality, n_label_issues(clean_proba)),
        label_quality,
        given,
        classes[predicted.code],
        predicted.confidence,
        classes[refurbished.code],
        refurbished.confidence,
    )
    return pd.DataFrame(dict(zip(ISSUE_COLUMNS, values, strict=True)), index=index)
