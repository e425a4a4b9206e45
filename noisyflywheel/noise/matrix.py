"""Transition matrices: checked, built, measured, drawn from.  Rows = true class, columns = given class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noisyflywheel.noise.codec import (
    Codes,
    as_column,
    check_dense,
    check_indices,
    class_list,
    encode,
    sorted_classes,
    values,
)

Matrix = NDArray[np.float64]


def transition_matrix(y_true: Any, y_noisy: Any, *, labels: Sequence[Any] | None = None) -> Matrix:
    """Measure how often each true class was given each label.

    Parameters
    ----------
    y_true, y_noisy : array-like of shape (n,)
        True and given labels of the same rows, in the same order.
    labels : sequence of shape (K,), optional
        The classes in the order of rows and columns; the sorted union of both columns if not given.

    Returns
    -------
    ndarray of shape (K, K)
        ``[j, k]`` = share of the rows of true class j with given label k; rows sum to 1.  A class that no row
        truly has gets a uniform row, 1/K: nothing is known about it.

    Raises
    ------
    ValueError
        If lengths or pandas indices differ, a label is missing, or a label is not in `labels`.
    """
    true, noisy = as_column(y_true, "y_true"), as_column(y_noisy, "y_noisy")
    if len(true) != len(noisy):
        raise ValueError(f"y_true has {len(true)} rows, y_noisy {len(noisy)}")
    check_indices(y_true, y_noisy, ("y_true", "y_noisy"))
    classes = sorted_classes(true, noisy) if labels is None else class_list(labels)
    k = len(classes)
    pairs = encode(true, classes, "y_true") * k + encode(noisy, classes, "y_noisy")
    counts = np.bincount(pairs, minlength=k * k).reshape(k, k).astype(np.float64)
    rows = counts.sum(axis=1, keepdims=True)
    return np.where(rows > 0, counts / np.maximum(rows, 1), 1.0 / k)


def uniform_noise(rate: float, k: int, exclude_true: bool) -> Matrix:
    """Law of symmetric noise, shape (K, K): the share `rate` goes to all K classes, or to the K-1 others."""
    if exclude_true:
        return (1 - rate) * np.eye(k) + rate / (k - 1) * (1 - np.eye(k))
    return (1 - rate) * np.eye(k) + rate / k


def map_noise(rate: float, target: Codes) -> Matrix:
    """Law of class-to-class noise, shape (K, K): class j becomes ``target[j]`` with probability `rate`."""
    k = len(target)
    return (1 - rate) * np.eye(k) + rate * np.eye(k)[target]


def check_matrix(T: ArrayLike, k: int) -> Matrix:
    """Return T as float64 (K, K) with rows that sum to 1 exactly.

    Raises
    ------
    TypeError
        If T is sparse.
    ValueError
        If T is not (K, K), has entries that are not in [0, 1] (NaN too), or a row sum off 1 by more than
        1e-6; the message names the row.
    """
    check_dense("T", T)
    matrix = np.asarray(T, dtype=np.float64)
    if matrix.shape != (k, k):
        raise ValueError(f"T must have shape ({k}, {k}) for {k} classes, got {matrix.shape}")
    bad = ~((matrix >= 0) & (matrix <= 1 + 1e-6)).all(axis=1)
    if bad.any():
        raise ValueError(f"T must hold probabilities in [0, 1]; row {int(bad.argmax())} does not")
    sums = matrix.sum(axis=1)
    off = np.abs(sums - 1) > 1e-6
    if off.any():
        row = int(off.argmax())
        raise ValueError(f"the rows of T must sum to 1; row {row} sums to {sums[row]:.6g}")
    return matrix / sums[:, None]


def in_class_order(T: Any, classes: NDArray[Any]) -> Any:
    """A DataFrame T (K, K) whose rows and columns are named as the classes (K,), in their order; any other as it is.

    Names may be the classes as text, as a file has them. The index 0, 1, … that pandas gives is no name.

    Raises
    ------
    ValueError
        If only the rows or only the columns are named as the classes, and not in their order.
    """
    if not (hasattr(T, "index") and hasattr(T, "columns")):
        return T
    rows, columns = _places(T.index, classes), _places(T.columns, classes)
    if rows is not None and columns is not None:
        return T.iloc[rows, columns]
    for found, named, other in ((rows, "rows", "columns"), (columns, "columns", "rows")):
        if found is not None and (np.diff(found) < 0).any():
            raise ValueError(
                f"the {named} of T are named as the classes, in another order than {classes.tolist()[:5]}, and its "
                f"{other} are not: name both, or pass T.to_numpy() in the order of the classes"
            )
    return T


def _places(names: Any, classes: NDArray[Any]) -> Codes | None:
    """Place (K,) of each class in an index of pandas; None where this holds other names, or none that were given."""
    is_default = getattr(names, "start", None) == 0 and names.step == 1
    if is_default or names.nlevels > 1 or len(names) != len(classes) or not names.is_unique:
        return None
    places = np.asarray(names.get_indexer(classes), dtype=np.int64)
    if (places >= 0).all():
        return places
    number = {text: k for k, text in enumerate(_texts(names.tolist(), classes))}
    found = [number.get(text, -1) for text in _texts(values(classes), classes)]
    return None if -1 in found or len(number) < len(names) else np.array(found, dtype=np.int64)


def _texts(labels: list[Any], classes: NDArray[Any]) -> list[str]:
    """Labels as text; where the classes are numbers, whole ones without a point."""
    point = ".0" if classes.dtype.kind in "iuf" else ""
    return [str(label).removesuffix(point) for label in labels]


def draw_classes(codes: Codes, T: Matrix, rng: np.random.Generator) -> Codes:
    """Draw a class for each row from its true class's row of T; one uniform number a row, by inverse CDF.

    Returns
    -------
    ndarray of int, shape (n,)
    """
    u = rng.random(len(codes))
    noisy = np.empty_like(codes)
    for j, law in enumerate(T):
        rows = np.flatnonzero(codes == j)
        edges = np.cumsum(law)
        last = int(np.flatnonzero(law)[-1])
        noisy[rows] = np.minimum(np.searchsorted(edges, u[rows] * edges[-1], side="right"), last)
    return noisy
