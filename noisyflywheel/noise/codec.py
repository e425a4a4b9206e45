"""From the caller's labels to class numbers 0..K-1 and back, whatever the labels are."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
MIXED = "labels of mixed types cannot be ordered; use one type for all labels"


class NoiseInfo(NamedTuple):
    """What a generator did; returned beside the labels with ``return_info=True``.

    Attributes
    ----------
    transition_matrix : ndarray of shape (K, K)
        The law the labels were drawn from, not its sample: rows = true class, columns = given class, rows sum
        to 1.  For instance-dependent noise the mean of the rows' own laws per true class.
    flipped : ndarray of bool, shape (n,)
        True where the given label differs from the true one.
    classes : ndarray of shape (K,)
        The class of each row and column of `transition_matrix`.
    """

    transition_matrix: NDArray[np.float64]
    flipped: NDArray[np.bool_]
    classes: NDArray[Any]


def as_column(y: Any, name: str = "y") -> NDArray[Any]:
    """View labels as a 1-D array; refuse other shapes, no rows and missing labels.

    Raises
    ------
    ValueError
        If `y` is not 1-D, is empty, or holds None, NaN, NaT, pandas' NA or what a mask hides; the message names the
        first such row.
    TypeError
        For a list of texts and other labels.
    """
    column = np.asarray(y)
    if column.ndim != 1:
        raise ValueError(f"{name} must be 1-D, got shape {column.shape}")
    if len(column) == 0:
        raise ValueError(f"{name} is empty")
    if hasattr(y, "isna"):
        missing = np.asarray(y.isna())
    else:
        missing = np.ma.getmaskarray(y) if np.ma.isMaskedArray(y) else np.zeros(len(column), dtype=bool)
        values = column if hasattr(y, "dtype") else np.asarray(y, dtype=object)  # numpy makes "nan" of NaN beside texts
        if values.dtype.kind in "fOMmT":
            missing = missing | np.array([_is_missing(value) for value in values])
    if missing.any():
        raise ValueError(f"{name} has a missing label in row {int(missing.argmax())}")
    if column.dtype.kind == "U" and not hasattr(y, "dtype") and not all(isinstance(label, str) for label in y):
        raise TypeError(MIXED)  # numpy would make texts of them all
    return column


def check_dense(name: str, array: Any) -> None:
    """Raise TypeError for a sparse array or matrix, which numpy would take for one object."""
    if hasattr(array, "tocsr"):
        raise TypeError(f"{name} is sparse; pass a dense array, as {name}.toarray() makes it")


def check_indices(first: Any, second: Any, names: tuple[str, str]) -> None:
    """Raise ValueError if two pandas objects, which are paired by position, have different indices."""
    if hasattr(first, "iloc") and hasattr(second, "iloc") and not first.index.equals(second.index):
        a, b = names
        raise ValueError(
            f"{a} and {b} have different indices; align them first, as {b}.loc[{a}.index] does, or reset both with "
            "reset_index(drop=True)"
        )


def _is_missing(value: Any) -> bool:
    """Whether a value is None, differs from itself, or as pandas' NA does not say whether it does."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True


def sorted_classes(*columns: NDArray[Any]) -> NDArray[Any]:
    """Give the sorted distinct labels of all columns; labels without an order are a TypeError."""
    try:
        return np.unique(np.concatenate([np.unique(c) for c in columns]))
    except TypeError as error:
        raise TypeError(MIXED) from error


def class_list(labels: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """Check a user's list of classes: 1-D, none missing, none twice; its order is kept."""
    classes = as_column(labels, "labels")
    if len(sorted_classes(classes)) < len(classes):
        raise ValueError("labels holds a class twice")
    return classes


def values(labels: NDArray[Any], kind: str = "") -> list[Any]:
    """Labels (n,) as values to look up, times as text or spans in ns: numpy makes dates or bare numbers of some.

    Parameters
    ----------
    labels : ndarray of shape (n,)
    kind : str
        numpy's letter for the labels that these are looked up among; where it is one of times, objects that are times
        too are taken as such.
    """
    if kind in ("m", "M") and labels.dtype == object:
        labels = _as_times(labels, kind)
    if labels.dtype.kind == "M":
        return np.datetime_as_string(labels, unit="auto").tolist()
    return (labels.astype("m8[ns]") if labels.dtype.kind == "m" else labels).tolist()


def _as_times(labels: NDArray[Any], kind: str) -> NDArray[Any]:
    """Objects (n,), of pandas or Python, as numpy's times; as they are where one is none."""
    try:
        return np.array([label.to_numpy() if hasattr(label, "to_numpy") else label for label in labels], f"{kind}8")
    except (TypeError, ValueError):
        return labels


def encode(column: NDArray[Any], classes: NDArray[Any], name: str = "y") -> Codes:
    """Number each label by its place in `classes`.

    Raises
    ------
    ValueError
        If a label is not among `classes`; the message lists up to five of them.
    """
    number = {label: k for k, label in enumerate(values(classes, column.dtype.kind))}
    distinct, inverse = np.unique(column, return_inverse=True)
    present = values(distinct)
    unknown = [label for label in present if label not in number]
    if unknown:
        raise ValueError(f"{name} holds labels that are not among the classes: {unknown[:5]}")
    return np.array([number[label] for label in present], dtype=np.int64)[inverse]


def codes_and_classes(y: Any, labels: Sequence[Any] | None, at_least: int = 2) -> tuple[Codes, NDArray[Any]]:
    """Return class numbers (n,) and classes (K,); ValueError for fewer than `at_least` classes."""
    column = as_column(y)
    classes = sorted_classes(column) if labels is None else class_list(labels)
    if len(classes) < at_least:
        raise ValueError(f"label noise needs at least {at_least} classes, got {len(classes)}")
    return encode(column, classes), classes


def decode(y: Any, codes: Codes, classes: NDArray[Any], changed: NDArray[np.bool_]) -> Any:
    """Write the noisy classes into a copy of `y`, of the same kind: a Series keeps index, name and dtype.

    Where numbers among the classes do not fit the dtype of `y`, the result has that of the classes; classes that are
    no category of a categorical `y` become some.

    Parameters
    ----------
    y : the caller's labels, shape (n,)
    codes : ndarray of int, shape (n,)
        The noisy classes.
    classes : ndarray of shape (K,)
    changed : ndarray of bool, shape (n,)
        The rows to rewrite.
    """
    if hasattr(y, "iloc"):
        noisy, drawn = with_categories(y, classes), classes[codes[changed]]
        own = getattr(y.dtype, "numpy_dtype", y.dtype)  # of pandas' nullable numbers that of their values
        if isinstance(own, np.dtype) and (own is y.dtype or own.kind in "iubf"):
            dtype = holding(own, classes)
            noisy, drawn = y.astype(y.dtype if dtype == own else dtype), drawn.astype(dtype)
        noisy.iloc[np.flatnonzero(changed)] = drawn
        return noisy
    if hasattr(y, "categories") and hasattr(y, "codes"):
        noisy = with_categories(getattr(y, "array", y), classes)  # an index cannot be written to
        noisy[changed] = classes[codes[changed]]
        return noisy
    column = np.asarray(y)
    noisy = column.astype(holding(column.dtype, classes), copy=True)
    noisy[changed] = classes[codes[changed]]
    return noisy


def with_categories(y: Any, classes: NDArray[Any]) -> Any:
    """A copy of pandas' labels; of a categorical with every class (K,) among its categories, new ones last."""
    owner = getattr(y, "cat", y)
    labels = list(classes) if classes.dtype.kind in "mM" else classes.tolist()
    new = [label for label in labels if label not in owner.categories] if hasattr(owner, "categories") else []
    return owner.add_categories(new) if new else y.copy()


def holding(dtype: np.dtype[Any], classes: NDArray[Any]) -> np.dtype[Any]:
    """The dtype of labels that are among `classes` (K,), or a wider one where it does not hold every class."""
    if dtype.kind in "SU":
        return np.result_type(dtype, classes.dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            fits = (classes.astype(dtype) == classes).all()
        return dtype if fits else np.result_type(dtype, classes.dtype)
    fits = dtype.kind not in "iub" or (classes.astype(dtype) == classes).all()
    return dtype if fits else classes.dtype


def finish(y: Any, true: Codes, noisy: Codes, classes: NDArray[Any], T: NDArray[np.float64], return_info: bool) -> Any:
    """Return the noisy labels, with `NoiseInfo` where it is asked for."""
    changed = noisy != true
    labels = decode(y, noisy, classes, changed)
    return (labels, NoiseInfo(T, changed, classes)) if return_info else labels


def check_rate(rate: Any) -> float:
    """Return the noise rate as a float in [0, 1]; TypeError for no number, ValueError outside (NaN too)."""
    if isinstance(rate, bool | np.bool_) or not isinstance(rate, Real):
        raise TypeError(f"rate must be a number in [0, 1], got {rate!r}")
    if not 0.0 <= float(rate) <= 1.0:
        raise ValueError(f"rate must be in [0, 1], got {float(rate)!r}")
    return float(rate)


def check_generator(random_state: Any) -> np.random.Generator:
    """Turn None, a seed, a RandomState or a Generator into a Generator; the global state stays as it is."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31))
    return np.random.default_rng(random_state)
