"""Labels as classifiers take them: of one type, and classes rather than measurements or names of rows."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from noisyflywheel.audit.rows.identity import label_text

MAX_CLASS_SHARE = 0.5
MAX_MEASURED = 20


def class_labels(labels: pd.Series) -> pd.Series:
    """Labels as `one_type` makes them, checked.

    Raises
    ------
    ValueError
        For labels that no classifier can learn: fewer than two rows or classes, measurements, identifiers, lists.
    """
    if not all(issubclass(kind, Hashable) for kind in {type(value) for value in labels}):
        raise ValueError(f"{str(labels.name)!r} holds lists or objects, not classes")
    labels = one_type(labels)
    check_labels(labels, str(labels.name))
    return labels


def one_type(labels: pd.Series) -> pd.Series:
    """Labels as one type: whole numbers, truth values and text stay, a mixture and floats beyond int64 become text."""
    labels = _values(labels)
    kind = labels.dtype.kind
    if kind == "f" and (labels % 1 == 0).all() and (labels.abs() < 2**63).all():
        return labels.astype(np.int64)
    return labels if kind in "iub" or {type(value) for value in labels} == {str} else labels.map(label_text)


def as_audited(labels: Any) -> Any:
    """Labels (n,) that scikit-learn refuses, as `audit_table` judges them: fractions and several types are text.

    What it learns stays as it is, also whole floats and times, of which `audit_table` makes integers and text.
    """
    given = pd.Series(labels)
    values = _values(given)
    if values.dtype.kind in "mM" or all(isinstance(value, str) for value in given):
        return labels
    judged = one_type(values)
    if judged.dtype.kind in "iub":
        if given.dtype != object:
            return labels
        judged = values
    return judged if isinstance(labels, pd.Series) else judged.to_numpy()


def _values(labels: pd.Series) -> pd.Series:
    """Labels without categories; numbers and truth values that were kept beside missing cells in their own type."""
    if isinstance(labels.dtype, pd.CategoricalDtype):
        labels = labels.astype(labels.cat.categories.dtype)
    return labels.infer_objects()


def check_labels(labels: pd.Series, name: str) -> None:
    """Refuse labels that no classifier can learn.

    Raises
    ------
    ValueError
        For fewer than two rows or classes, and for a column that looks like a measurement or an identifier.
    """
    n_classes = labels.nunique()
    if len(labels) < 2:
        raise ValueError(f"{name!r} has {len(labels)} labels; at least 2 rows are needed")
    if n_classes < 2:
        raise ValueError(f"{name!r} has one class only ({labels.iloc[0]!r}); at least 2 are needed")
    numbers = pd.to_numeric(pd.Series(labels.unique()), errors="coerce")
    if n_classes > MAX_MEASURED and numbers.notna().all() and (numbers % 1 != 0).any():
        raise ValueError(f"{name!r} holds measurements, not classes")
    if n_classes > max(2, MAX_CLASS_SHARE * len(labels)):
        raise ValueError(f"{name!r} has {n_classes} values in {len(labels)} rows; that is no class label")
