"""Class-conditional noise: symmetric, asymmetric and any row-stochastic matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from noisyflywheel.noise.codec import Codes, as_column, check_generator, check_rate, codes_and_classes, finish
from noisyflywheel.noise.maps import default_labels, named_targets, user_targets
from noisyflywheel.noise.matrix import check_matrix, draw_classes, in_class_order, map_noise, uniform_noise


def symmetric(
    y: Any,
    rate: float,
    *,
    exclude_true: bool = False,
    labels: Sequence[Any] | None = None,
    random_state: Any = None,
    return_info: bool = False,
) -> Any:
    """Give ``int(rate * n)`` randomly chosen rows a new label, uniform over the classes.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels of any kind.
    rate : float in [0, 1]
        Share of rows that draw a new label.
    exclude_true : bool, default=False
        False: all K classes, the true one included, so that about ``rate * (1 - 1/K)`` of the labels end up
        wrong (DivideMix, UNICON, and "evenly to all possible classes" of Sec. 4.2).  True: the K-1 others, so
        that exactly ``int(rate * n)`` do (CORES²).
    labels : sequence of shape (K,), optional
        All classes, where `y` does not hold every one; the sorted labels of `y` if not given.
    random_state : None, int, RandomState or Generator
    return_info : bool, default=False
        Also return a `NoiseInfo`.

    Returns
    -------
    noisy labels of the kind of `y` (an array for a list, tensor or Index), shape (n,); with `return_info` a pair.

    Raises
    ------
    TypeError, ValueError
        For a bad rate, a missing or unknown label, or fewer than two classes.
    """
    rate = check_rate(rate)
    codes, classes = codes_and_classes(y, labels)
    k, n = len(classes), len(codes)
    rng = check_generator(random_state)
    rows = rng.permutation(n)[: int(rate * n)]
    noisy = codes.copy()
    if exclude_true:
        noisy[rows] = (codes[rows] + rng.integers(1, k, len(rows))) % k
    else:
        noisy[rows] = rng.integers(0, k, len(rows))
    return finish(y, codes, noisy, classes, uniform_noise(rate, k, exclude_true), return_info)


def asymmetric(
    y: Any,
    rate: float,
    *,
    mapping: Mapping[Any, Any] | str | None = None,
    labels: Sequence[Any] | None = None,
    random_state: Any = None,
    return_info: bool = False,
) -> Any:
    """Turn each row's class into one fixed similar class with probability `rate`.

    A row is changed once at most: with cat -> dog and dog -> cat no label travels on.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels of any kind.
    rate : float in [0, 1]
        Probability of a change, for each row of an affected class.
    mapping : None, dict or str
        None: class y becomes the next class, (y + 1) mod K.  A dict ``{class: class}``; other classes stay.
        ``"cifar10"``: truck -> automobile, bird -> airplane, deer -> horse, cat <-> dog.  ``"cifar100"``: the
        next class, cyclic, in blocks of five consecutive fine labels (UNICON, ELR).
        ``"cifar100_superclass"``: the next fine class, cyclic, inside the true superclass (MOIT).
    labels, random_state, return_info
        As in `symmetric`; `labels` is 0..9 or 0..99 for a named mapping over integer labels if not given.

    Returns
    -------
    As `symmetric`.

    Raises
    ------
    TypeError, ValueError
        For a bad rate, an unknown mapping, a missing or unknown label, or fewer than two classes.
    """
    rate = check_rate(rate)
    if isinstance(mapping, str) and labels is None:
        labels = default_labels(mapping, as_column(y))
    codes, classes = codes_and_classes(y, labels)
    T = map_noise(rate, _targets(mapping, classes))
    noisy = draw_classes(codes, T, check_generator(random_state))
    return finish(y, codes, noisy, classes, T, return_info)


def from_matrix(
    y: Any,
    T: ArrayLike,
    *,
    labels: Sequence[Any] | None = None,
    random_state: Any = None,
    return_info: bool = False,
) -> Any:
    """Draw each row's label from its class's row of a transition matrix.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels of any kind.
    T : array-like of shape (K, K)
        Rows = true class, columns = given class, in the order of `labels`; rows sum to 1 (within 1e-6). A DataFrame
        whose index and columns both hold the classes, also as text, is taken by these names, in any order.
    labels, random_state, return_info
        As in `symmetric`.

    Returns
    -------
    As `symmetric`.

    Raises
    ------
    TypeError
        For a sparse T.
    ValueError
        For a T of another shape or that is not row-stochastic, or of which only rows or only columns are named as the
        classes, in another order; a missing or unknown label.
    """
    codes, classes = codes_and_classes(y, labels, at_least=1)
    matrix = check_matrix(in_class_order(T, classes), len(classes))
    noisy = draw_classes(codes, matrix, check_generator(random_state))
    return finish(y, codes, noisy, classes, matrix, return_info)


def _targets(mapping: Mapping[Any, Any] | str | None, classes: NDArray[Any]) -> Codes:
    """Return the class number (K,) that each class turns into."""
    if mapping is None:
        return (np.arange(len(classes)) + 1) % len(classes)
    if isinstance(mapping, str):
        return named_targets(mapping, classes)
    if isinstance(mapping, Mapping):
        return user_targets(mapping, classes)
    raise TypeError(f"mapping must be None, a dict or a name, got {type(mapping).__name__}")
