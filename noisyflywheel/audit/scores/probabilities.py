"""Audit of labels from class probabilities that the caller has: of any model, in any library."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from noisyflywheel.audit.rows.identity import index_of, label_text
from noisyflywheel.audit.scores.cross_val import CrossValAudit, audit_of
from noisyflywheel.audit.scores.learners import checked_probabilities
from noisyflywheel.estimator.inputs.labels import read_labels
from noisyflywheel.exceptions import FlywheelWarning


def _unsigned(text: str) -> np.uint64:
    """A number that is not below 0; numpy 1 would count those from the other end."""
    if (number := int(text)) < 0:
        raise OverflowError(text)
    return np.uint64(number)


CLASS_OF_TEXT: dict[str, Callable[[str], Any]] = {"i": int, "u": _unsigned, "f": float, "U": str, "O": str}
"""By numpy's letter for the type of y: a class that y lacks from the name of its column."""

WHOLE, MIDNIGHT = re.compile(r"(?<=\d)\.0$"), re.compile(r" 00:00:00$")
"""What some writers of files add to numbers, dates and durations."""


def audit_probabilities(pred_proba: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> CrossValAudit:
    """Judge each label by class probabilities of a model that never saw its row.

    Parameters
    ----------
    pred_proba : array-like or DataFrame of shape (n, K)
        Of held-out rows, as `sklearn.model_selection.cross_val_predict(..., method="predict_proba")` returns it; rows
        sum to 1. The columns of a DataFrame that are named as classes say which is which. Names count as text, so "3"
        from a file is the class 3.
    y : array-like of shape (n,)
        Given labels.
    classes : array-like of shape (K,), optional
        Class of each column, whatever it is named. By default the sorted classes of y; where y has fewer and holds
        codes, 0 … K-1.

    Returns
    -------
    audit : CrossValAudit

    Raises
    ------
    TypeError
        For a table with names that is no DataFrame of pandas, if `classes` does not say which column is which.
    ValueError
        For probabilities of another shape, that are not finite or not in [0, 1], or whose rows do not sum to 1; for
        classes that are not K different ones or lack a label of y; for a DataFrame whose columns are named as some
        classes of y and not as others, or as no class of its type; for y with missing labels or one class.

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
    proba = _checked(pred_proba)
    labels, found, _ = read_labels(pred_proba, y)
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
    if np.ndim(pred_proba) != 2:
        raise ValueError(f"pred_proba, which comes before y, must have shape (n, K); got {np.shape(pred_proba)}")
    proba = checked_probabilities(pred_proba)
    return proba / proba.sum(axis=1, keepdims=True)


def _class_texts(names: pd.Index, kind: str) -> list[str]:
    """Classes, or names of columns, as one text in whatever type they are; `kind` is numpy's letter for that of y."""
    texts = [label_text(name) for name in names]
    if kind in "UO":  # texts are what they are, with their blanks
        return texts
    if kind == "b":
        return [text.strip().title() for text in texts]
    return [(MIDNIGHT if kind in "mM" else WHOLE).sub("", text.strip()) for text in texts]


def _named_columns(columns: pd.Index, found: NDArray[Any]) -> NDArray[Any] | None:
    """Class of each column by its name, of shape (K,); None where the names are no classes of y, `found`.

    Raises
    ------
    ValueError
        If some classes of y are names of columns and others are not, or names may be places as well.
    """
    if pd.Index(found).astype(object).isin(columns).all() and not columns.inferred_type.startswith("mixed"):
        return np.asarray(columns)
    kind, is_plain = found.dtype.kind, columns.equals(pd.RangeIndex(len(columns)))
    texts = _class_texts(columns, kind)
    classes = dict(zip(_class_texts(pd.Index(found), kind), found, strict=True))
    lacking = [text for text in classes if text not in texts]
    if len(lacking) == len(classes) or (lacking and is_plain):
        return None
    if lacking:
        raise ValueError(f"no column of pred_proba is named {lacking[0]!r}, as a class is: name each with classes=")
    named = [classes[text] if text in classes else _new_class(text, kind) for text in texts]
    names = np.array(named, dtype=object if kind == "O" else None)
    if is_plain and names.size == found.size and (names != found).any():
        raise ValueError(f"0, 1, … may be names or places of the classes {found.tolist()[:5]}: name each with classes=")
    return names


def _new_class(text: str, kind: str) -> Any:
    """The class, of which y has no label, that a column is named as; `kind` is numpy's letter for the type of y."""
    try:
        return CLASS_OF_TEXT[kind](text)
    except (KeyError, OverflowError, ValueError) as error:
        what = f"the column {text!r} of pred_proba is no class as those of y are"
        raise ValueError(f"{what}: name each with classes=") from error


def _column_classes(pred_proba: Any, n_columns: int, found: NDArray[Any], classes: ArrayLike | None) -> NDArray[Any]:
    """Class of each column, of shape (K,); `found` are those of y."""
    if classes is not None:
        names = np.asarray(classes)
    elif not isinstance(pred_proba, pd.DataFrame) and hasattr(pred_proba, "columns"):  # of polars, pyarrow ...
        kind = f"{type(pred_proba).__module__.partition('.')[0]}.{type(pred_proba).__name__}"
        raise TypeError(f"pred_proba is a {kind}: convert it, as its to_pandas() does, or give its classes")
    elif isinstance(pred_proba, pd.DataFrame) and (named := _named_columns(pred_proba.columns, found)) is not None:
        names = named
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
