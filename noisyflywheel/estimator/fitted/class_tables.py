"""Tables of an audit: one line per class, one line per pair of classes, made from the table of labels.

Every matrix `T` has rows = true class and columns = given class; its rows sum to 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray


def _check_classes(labels: pd.Series, classes: NDArray[Any]) -> None:
    """Refuse labels (n,) of which none is among the classes (K,): of another type, or codes of them."""
    if len(labels) and not labels.isin(classes).any():
        raise ValueError(f"no {labels.name} is among the classes {classes.tolist()[:5]}; they are {labels.iloc[0]!r} …")


def _beside(issues: pd.DataFrame, clean_proba: Any) -> pd.Series:
    """Probabilities (n,) in the order of the lines of issues; ValueError where it cannot be known."""
    index = issues.index
    if not isinstance(clean_proba, pd.Series):
        proba = np.asarray(clean_proba, dtype=np.float64)
        if proba.shape != index.shape:
            raise ValueError(f"clean_proba has shape {proba.shape}, issues {len(index)} rows")
        if issues["label_quality"].is_monotonic_increasing and not issues.get("row", index).is_monotonic_increasing:
            raise ValueError(
                "issues are sorted by label_quality, and clean_proba has no index: pass it as a Series with the index "
                "of the table that the audit made, pd.Series(clean_proba, audit.get_label_issues().index)"
            )
        return pd.Series(proba, index)
    if clean_proba.index.equals(index):
        return clean_proba.astype(np.float64)
    if not index.is_unique or not clean_proba.index.is_unique or not index.isin(clean_proba.index).all():
        raise ValueError("clean_proba has another index than issues: give both that of the table that the audit made")
    return clean_proba.astype(np.float64).reindex(index)


def _per_class(values: pd.Series, given: pd.Series, classes: NDArray[Any], how: str) -> NDArray[Any]:
    """Aggregate `values` by given label in the order of `classes`; NaN for a class nobody was given."""
    return np.asarray(values.groupby(given.to_numpy()).agg(how).reindex(classes))


def top_confusion(classes: ArrayLike, transition_matrix: ArrayLike) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Wrong label that each true class is given most often, and how often.

    Parameters
    ----------
    classes : array-like of shape (K,)
    transition_matrix : array-like of shape (K, K)
        Rows = true class, columns = given class.

    Returns
    -------
    label : ndarray of object of shape (K,)
        None where a class is never mislabelled.
    rate : ndarray of shape (K,)
        P(given = label | true class), in [0, 1].
    """
    k = np.asarray(classes)
    off = np.array(transition_matrix, dtype=np.float64)
    np.fill_diagonal(off, -1.0)
    best = off.argmax(axis=1)
    rate = np.clip(off[np.arange(k.size), best], 0.0, 1.0)
    label = k[best].astype(object)
    label[rate <= 0] = None
    return label, rate


def class_summary(
    issues: pd.DataFrame,
    classes: ArrayLike,
    transition_matrix: ArrayLike,
    clean_proba: ArrayLike | None = None,
) -> pd.DataFrame:
    """What happened to each class; the worst noise rate first.

    Parameters
    ----------
    issues : DataFrame
        As `label_issues_frame` returns it.
    classes : array-like of shape (K,)
    transition_matrix : array-like of shape (K, K)
        T, rows = true class, columns = given class, rows sum to 1.
    clean_proba : array-like of shape (n,), optional
        Refines the noise rate to the mean of `1 - clean_proba`; without it the share of suspects is taken. A Series is
        joined by the index of `issues`, anything else by position.

    Returns
    -------
    summary : DataFrame of K rows
        `class_label`; `n_given` and `n_suspected` rows; `noise_rate` = P(label wrong | given class);
        `inverse_noise_rate` = P(other label given | true class); `label_quality`, the mean over rows given
        the class; `top_confusion`, the wrong label the true class gets most often (missing = none), and
        `top_confusion_rate`. Rates lie in [0, 1]; NaN for a class without rows.

    Raises
    ------
    ValueError
        If no given label is among the classes, as where `read_issues` has read numbers, which it gives as text, or
        clean_proba has another index or length than issues, or no index beside lines sorted by label quality.
    """
    k, T = np.asarray(classes), np.asarray(transition_matrix, dtype=np.float64)
    given = issues["given_label"]
    _check_classes(given, k)
    suspected = issues["is_label_issue"].astype(np.float64)
    wrong = suspected if clean_proba is None else 1.0 - _beside(issues, clean_proba)
    label, rate = top_confusion(k, T)
    table = pd.DataFrame(
        {
            "class_label": k,
            "n_given": np.nan_to_num(_per_class(suspected, given, k, "size").astype(float)).astype(int),
            "n_suspected": np.nan_to_num(_per_class(suspected, given, k, "sum")).astype(int),
            "noise_rate": _per_class(wrong, given, k, "mean"),
            "inverse_noise_rate": np.clip(1.0 - np.diag(T), 0.0, 1.0),
            "label_quality": _per_class(issues["label_quality"], given, k, "mean"),
            "top_confusion": label,
            "top_confusion_rate": rate,
        }
    )
    return table.sort_values("noise_rate", ascending=False, kind="stable", ignore_index=True)


def overlapping_classes(issues: pd.DataFrame, classes: ArrayLike, transition_matrix: ArrayLike) -> pd.DataFrame:
    """Pairs of classes by how often one is given for the other; the worst pair first.

    The share of each true class is that of the refurbished labels.

    Parameters
    ----------
    issues : DataFrame
        As `label_issues_frame` returns it.
    classes : array-like of shape (K,)
    transition_matrix : array-like of shape (K, K)
        T, rows = true class, columns = given class.

    Returns
    -------
    pairs : DataFrame of K(K-1)/2 rows
        `class_a`, `class_b`; `joint_probability` = P(true a, given b) + P(true b, given a), in [0, 1];
        `n_expected`, that share of the rows, rounded.

    Raises
    ------
    ValueError
        If no refurbished label is among the classes.
    """
    k, T = np.asarray(classes), np.asarray(transition_matrix, dtype=np.float64)
    _check_classes(issues["refurbished_label"], k)
    prior = issues["refurbished_label"].value_counts(normalize=True).reindex(k).fillna(0.0).to_numpy()
    joint = prior[:, None] * T
    a, b = np.triu_indices(k.size, 1)
    both = joint[a, b] + joint[b, a]
    pairs = pd.DataFrame({"class_a": k[a], "class_b": k[b], "joint_probability": both})
    pairs["n_expected"] = np.rint(both * len(issues)).astype(int)
    return pairs.sort_values("joint_probability", ascending=False, kind="stable", ignore_index=True)
