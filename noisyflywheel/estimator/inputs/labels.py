"""y as callers hand it in, checked, and turned into codes 0..K-1."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionDtype
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, check_consistent_length, column_or_1d

from noisyflywheel.data import map_items, on_host, without_mask

_PANDAS = (pd.DataFrame, pd.Series)


def labels_of_dataset(dataset: Any) -> np.ndarray:
    """The second part of each item of a Dataset, for ``fit(dataset)`` without y."""
    labels: list[Any] = []

    def add_label(item: Any) -> None:
        if not isinstance(item, (tuple, list)) or len(item) < 2:
            what = f"item {len(labels)} of the Dataset has no second part"
            raise ValueError(f"y is None and {what} to take as labels: (x, label).")
        labels.append(on_host(item[1]))

    map_items(add_label, dataset, range(len(dataset)))
    return np.asarray(labels)


def read_labels(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels as the caller gave them, the classes, and codes 0..K-1.

    Returns
    -------
    labels : ndarray of shape (n,)
    classes : ndarray of shape (K,)
        Sorted.
    codes : ndarray of shape (n,), int64

    Raises
    ------
    TypeError
        If X is a list of several arrays of all rows.
    ValueError
        If lengths or indices differ, labels are missing, y is no classification target, or there is one class only.
    """
    check_one_input(X, y)
    is_array = hasattr(y, "astype")
    y = without_mask(on_host(y))
    check_consistent_length(X, y)
    check_same_index(X, y)
    missing = np.asarray(pd.isna(y if hasattr(y, "dtype") or isinstance(y, _PANDAS) else np.asarray(y, dtype=object)))
    missing = missing.ravel() if missing.ndim == 2 and missing.shape[1] == 1 else missing
    if missing.ndim == 1 and missing.any():
        kinds = "NaN or infinity" if kind_of(y) == "f" else "NaN or None"
        raise ValueError(f"Input y contains {kinds} (first in row {int(missing.argmax())}).")
    labels = np.array(column_or_1d(_plain_labels(y), warn=True))  # what the caller does with y later changes nothing
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise ValueError(f"Input y contains NaN or infinity (first in row {row}).")
    of_list = labels.dtype.kind == "U" and not hasattr(y, "dtype") and not isinstance(y, _PANDAS)
    _check_one_type(np.asarray(y, dtype=object).ravel() if of_list else labels, is_array)  # numpy makes texts of all
    check_classification_targets(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has one class only ({classes.tolist()[0]!r}): the classifier needs at least 2 classes.")
    return labels, classes, codes.astype(np.int64)


def check_one_input(X: Any, y: Any) -> None:
    """Raise TypeError for a list of arrays each of which has a row for each label: nets of several inputs in skorch."""
    if not isinstance(X, list | tuple) or len(X) < 2 or not all(getattr(part, "shape", ()) for part in X[:2]):
        return
    n = _num_samples(y)
    shapes = [getattr(part, "shape", ()) for part in X]
    if len(X) != n and all(shape[:1] == (n,) for shape in shapes) and any(len(shape) > 1 for shape in shapes):
        raise TypeError(
            f"X is a {type(X).__name__} of {len(X)} arrays of {n} rows, but rows are one array: join the parts, and "
            "let the module take them apart."
        )


def one_column(y: Any) -> Any:
    """The labels of a DataFrame of one column as a Series, those of an array (n, 1) as (n,); any other y as it is.

    Raises
    ------
    ValueError
        For several columns.
    """
    if getattr(y, "ndim", 1) != 2:
        return y
    if y.shape[1] != 1:
        raise ValueError(f"y must be one column of labels; got shape {tuple(y.shape)}")
    return y.iloc[:, 0] if isinstance(y, pd.DataFrame) else y[:, 0]


def _check_one_type(labels: np.ndarray, is_array: bool) -> None:
    """Raise ValueError if labels (n,) of dtype object are no texts: scikit-learn sorts and scores no others.

    ``is_array`` says whether the caller's y has a method `astype`, which the advice may name.
    """
    if labels.dtype != object:
        return
    found = {type(label): row for row, label in reversed(list(enumerate(labels)))}
    if all(issubclass(kind, str) for kind in found):
        return
    kinds = sorted(found, key=found.__getitem__)[:3]
    names = " and ".join(kind.__name__ for kind in kinds)
    texts = "y.astype(str)" if is_array else "[str(label) for label in y]"
    if len(found) > 1:
        rows = ", ".join(str(found[kind]) for kind in kinds)
        what = f"labels of several types, {names} (first in rows {rows}): make them one, as {texts} does"
    elif kinds[0] is int and not _fit_int64(labels):
        what = f"labels of type {names}, some beyond 64 bits: pass {texts}"
    elif is_array and (kinds[0] in (bool, int, float) or issubclass(kinds[0], np.generic)):
        what = f"labels of type {names}: pass y.astype({names!r})"
    else:
        what = f"labels of type {names}: pass {texts}"
    raise ValueError(f"Unknown label type: y {'has dtype object and ' * is_array}holds {what}.")


def _fit_int64(labels: np.ndarray) -> bool:
    """Whether int64 holds all of some whole numbers (n,)."""
    limits = np.iinfo(np.int64)
    return bool(limits.min <= min(labels) and max(labels) <= limits.max)


def _plain_labels(y: Any) -> Any:
    """pandas' nullable and Arrow ints and bools, and categories of them, in numpy's type; any other y as it is.

    scikit-learn would make floats of them. None of them may be missing.
    """
    if isinstance(y, pd.DataFrame) and y.shape[1] == 1:
        return np.asarray(_plain_labels(y.iloc[:, 0]))[:, None]
    dtype = getattr(y, "dtype", None)
    kind = dtype.categories.dtype.kind if isinstance(dtype, pd.CategoricalDtype) else kind_of(y)
    return np.asarray(y) if isinstance(dtype, ExtensionDtype) and kind in "biu" else y


def check_same_index(X: Any, y: Any, names: tuple[str, str] = ("X", "y")) -> None:
    """Raise ValueError if X and y are pandas objects whose indices differ, also where only the order does.

    Rows are paired by position, and results come back under the index that both share. ``names`` are what the message
    calls X and y.
    """
    if not (isinstance(X, _PANDAS) and isinstance(y, _PANDAS)) or X.index.equals(y.index):
        return
    of_X, of_y = X.index.tolist(), y.index.tolist()
    first, second = names
    if set(of_X) == set(of_y) and X.index.is_unique and y.index.is_unique:
        raise ValueError(
            f"{first} and {second} have the same index labels in another order, but rows are paired by position: "
            f"pass {second}.loc[{first}.index]."
        )
    row = next((i for i, (a, b) in enumerate(zip(of_X, of_y, strict=True)) if a != b), 0)
    raise ValueError(
        f"{first} and {second} have different indices (row {row} is {of_X[row]!r} in {first} and {of_y[row]!r} in "
        f"{second}), but rows are paired by position: align them, or reset both with reset_index(drop=True)."
    )


def check_judged_order(judged: pd.Index, owner: str, **paired: Any) -> None:
    """Raise ValueError if rows that are paired by position with those of an audit have its index in another order.

    An index of other labels says nothing: such rows are taken as they come.

    Parameters
    ----------
    judged : Index of length n
        Of the rows that were judged.
    owner : str
        What the message calls the audit or fitted classifier.
    **paired : array-like of n rows, or None
        By the name that the message calls them.
    """
    for name, rows in paired.items():
        if isinstance(rows, _PANDAS) and is_reordered(rows.index, judged):
            raise ValueError(
                f"{name} and {owner} have the same index labels in another order, but rows are paired by position: "
                f"pass {name}.loc[{owner}.get_label_issues().index], or {name}.reset_index(drop=True) if it is in the "
                f"order of {owner}."
            )


def is_reordered(index: pd.Index, other: pd.Index) -> bool:
    """Whether two indices hold the same labels in another order."""
    return not index.equals(other) and {*index} == {*other}


def kind_of(values: Any) -> str:
    """numpy's letter for the type of an array or Series, "?" of anything else."""
    return getattr(getattr(values, "dtype", None), "kind", "?")
