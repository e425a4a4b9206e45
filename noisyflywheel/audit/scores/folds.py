"""Folds of a cross-validation: which rows each model learns and which it judges."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupKFold, PredefinedSplit, StratifiedGroupKFold, StratifiedKFold

from noisyflywheel.audit.rows.copies import copies_in
from noisyflywheel.exceptions import FlywheelWarning

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


def folds_of(cv: Any, X: Any, y: NDArray[Any], groups: Any) -> list[Fold]:
    """Rows to train on and rows to judge of each fold; a class too rare for stratified ones is named."""
    check_groups(cv, groups)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)  # in scikit-learn's own terms
        folds = list(cv.split(X, y, groups))
    if not np.array_equal(np.sort(np.concatenate([test for _, test in folds])), np.arange(len(y))):
        raise ValueError("cv must hold out every row once")
    classes, sizes = np.unique(y, return_counts=True)
    name, size = classes.tolist()[sizes.argmin()], int(sizes.min())
    if isinstance(cv, (StratifiedKFold, StratifiedGroupKFold)) and size < len(folds):
        what = f"Class {name!r} has {size} row{'s' * (size > 1)}, fewer than the {len(folds)} folds"
        warnings.warn(f"{what}: look at its labels by hand.", FlywheelWarning, stacklevel=4)
    return folds


class CopiesTogether(StratifiedKFold):
    """Stratified folds of rows whose copies are held out together.

    Parameters
    ----------
    first : ndarray of shape (n,)
        As `copies_in` returns it.
    n_splits : int
    random_state : int, optional
    """

    def __init__(self, first: NDArray[np.int64], n_splits: int, random_state: int | None = None) -> None:
        super().__init__(n_splits, shuffle=True, random_state=random_state)
        self.first = first

    def split(self, X: Any, y: Any, groups: Any = None) -> Iterator[Fold]:
        """Rows to train on and rows to judge of each fold."""
        kept, position = np.unique(self.first, return_inverse=True)
        for _, test in super().split(kept, np.asarray(y)[kept]):
            held_out = np.isin(position, test)
            yield np.flatnonzero(~held_out), np.flatnonzero(held_out)


def shuffled_folds(n_splits: int, X: Any, codes: NDArray[np.int64], groups: Any, random_state: int | None) -> Any:
    """The splitter that a number of folds stands for: groups stay together, without groups copies of a row do."""
    if groups is not None:
        return StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)
    first = copies_in(X, codes)
    if first is None or np.bincount(codes[np.unique(first)]).max() < n_splits:
        return StratifiedKFold(n_splits, shuffle=True, random_state=random_state)
    return CopiesTogether(first, n_splits, random_state)


def check_groups(cv: Any, groups: ArrayLike | None) -> None:
    """Raise ValueError if there are fewer groups than folds: scikit-learn speaks of n_splits, which nobody gave."""
    n_folds = cv.n_splits if isinstance(cv, (GroupKFold, StratifiedGroupKFold)) else cv
    if groups is None or not isinstance(n_folds, Integral):
        return
    if (n := len(pd.unique(np.asarray(groups)))) < int(n_folds):
        advice = f"pass cv={n} or fewer" if n > 1 else "at least two groups are needed to hold one out"
        raise ValueError(f"cv asks for {n_folds} folds, and groups has {n} group{'s' * (n > 1)}: {advice}")


def folds_among(cv: Any, rows: NDArray[np.intp], n: int) -> Any:
    """Folds that number n rows, as folds that number some of them, `rows` in rising order.

    These are a PredefinedSplit and an iterable of pairs; folds that hold out none of the rows are left out. Any other
    `cv` splits the rows that it is given, and comes back as it is.

    Raises
    ------
    ValueError
        If a fold names a row that is not there.
    """
    fixed = isinstance(cv, PredefinedSplit) or not (cv is None or isinstance(cv, Integral) or hasattr(cv, "split"))
    if not fixed or rows.size == n:
        return cv
    place = np.full(n, -1)
    place[rows] = np.arange(rows.size)
    pairs = cv.split() if hasattr(cv, "split") else cv
    folds = [[np.asarray(part, None if len(part) else np.intp) for part in pair] for pair in pairs]
    largest = max((int(part.max()) for fold in folds for part in fold if part.size), default=-1)
    if largest >= n:
        raise ValueError(f"cv must number the rows of X: it names row {largest} of {n}, counted from 0")
    among = [[found[found >= 0] for found in (place[part] for part in fold)] for fold in folds]
    return [(train, test) for train, test in among if test.size]


def sortable(groups: NDArray[Any]) -> NDArray[Any]:
    """Groups (n,) that splitters can sort: codes where they are of several types, as missing ones are."""
    several = groups.dtype == object and len({type(group) for group in groups}) > 1
    return pd.factorize(groups)[0] if several else groups
