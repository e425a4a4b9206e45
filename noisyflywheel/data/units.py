"""Columns in units in which scikit-learn's trees tell all their numbers apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 30
"""Base-2 logarithm of what the largest number of a column becomes, but for a factor of two."""


def unit_exponents(x: NDArray[Any]) -> NDArray[np.int64]:
    """Exponents u (d,) of the units 2^u of the columns of x (n, d), in which the largest size is in [2^29, 2^30).

    0 for columns that are zero throughout or hold an infinite number. NaN does not count.
    """
    largest = np.fmax(np.fmax.reduce(x, axis=0, initial=0), -np.fmin.reduce(x, axis=0, initial=0))  # (d,)
    _, exponents = np.frexp(largest)
    return np.where(np.isfinite(largest) & (largest > 0), exponents.astype(np.int64) - SIZE, 0)


def in_own_units(x: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Numbers x (n, d) in their columns' units: what the trees of scikit-learn make of them does not depend on scale.

    These trees take numbers within 1e-7 of each other as equal, in whatever unit a column is. Here that is 4e-16 of its
    largest number at most, so that neither small units nor one large number hide the others. Units are powers of two,
    so nothing is rounded: a tree of columns in which no two numbers are so close stays the same but for the unit of
    its thresholds.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        NaN stays NaN.

    Returns
    -------
    ndarray of shape (n, d)
        float64, or float32 where x is that.
    """
    numbers = x.astype(np.result_type(x, np.float32), copy=False)
    return np.ldexp(numbers, -unit_exponents(numbers))
