"""How many labels are wrong, and what it brings to look at some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

ROUNDING = 1e-6
"""How far a probability may lie outside [0, 1]."""

EXACT = 2_000
"""Rows up to which the distribution of the count is computed, not approximated."""


@dataclass(frozen=True)
class WrongLabels:
    """Number of wrong labels.

    Attributes
    ----------
    expected : float
        The sum of `1 - clean_proba`.
    low, high : int
        Ends of the interval.
    level : float
        Its probability, in (0, 1).
    """

    expected: float
    low: int
    high: int
    level: float


def estimate_wrong_labels(clean_proba: ArrayLike, level: float = 0.9) -> WrongLabels:
    """Expected number of wrong labels with an interval.

    Labels are taken to be wrong independently, each with probability `1 - clean_proba` (a Poisson-binomial count). The
    interval covers this chance only: not that the probabilities themselves may be off, as they are where annotators
    err on rows that look like another class; there the number is too low.

    Parameters
    ----------
    clean_proba : array-like of shape (n,)
        Probability, in [0, 1], that each label is right.
    level : float in (0, 1), default 0.9

    Returns
    -------
    estimate : WrongLabels

    Raises
    ------
    ValueError
        For probabilities that are not of shape (n,) or not in [0, 1], NaN too, or a level that is not between 0 and 1.

    Examples
    --------
    >>> from noisyflywheel.audit import estimate_wrong_labels
    >>> estimate_wrong_labels([0.5] * 100)
    WrongLabels(expected=50.0, low=42, high=58, level=0.9)
    """
    p = 1.0 - np.asarray(clean_proba, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"clean_proba must hold one probability a row, of shape (n,); got shape {p.shape}")
    if bad := np.flatnonzero(~((p >= -ROUNDING) & (p <= 1 + ROUNDING))).tolist():
        raise ValueError(f"clean_proba must hold probabilities in [0, 1]; row {bad[0]} does not")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1; got {level!r}")
    tail = (1 - level) / 2
    if len(p) <= EXACT:
        below = np.cumsum(count_distribution(p))
        low, high = (int(np.searchsorted(below, q - 1e-12)) for q in (tail, 1 - tail))
    else:
        spread = float(norm.isf(tail)) * float(np.sqrt((p * (1 - p)).sum()))
        low, high = int(max(0, np.floor(p.sum() - spread))), int(min(len(p), np.ceil(p.sum() + spread)))
    return WrongLabels(float(p.sum()), low, min(high, len(p)), level)


def count_distribution(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of 0, 1, …, n events of probabilities p of shape (n,): shape (n + 1,)."""
    chance = np.ones(1)
    for value in p:
        chance = np.convolve(chance, (1 - value, value))
    return chance


@dataclass(frozen=True)
class ReviewGain:
    """What it brings to put the first rows of a list right.

    Attributes
    ----------
    n_rows : int
        Rows that are looked at.
    n_mended : float
        Expected number of wrong labels among them.
    before, after : float
        Share of right labels, in [0, 1].
    """

    n_rows: int
    n_mended: float
    before: float
    after: float


def expected_gain(clean_proba: ArrayLike, order: ArrayLike, n_rows: int = 100) -> ReviewGain:
    """Gain in label accuracy from putting the first rows right.

    Parameters
    ----------
    clean_proba : array-like of shape (n,)
    order : array-like of int
        Positions, the first to look at first.
    n_rows : int, default 100
    """
    p = 1.0 - np.asarray(clean_proba, dtype=np.float64)
    first = np.asarray(order, dtype=np.intp)[:n_rows]
    mended = float(p[first].sum())
    before = 1.0 - float(p.mean())
    return ReviewGain(len(first), mended, before, before + mended / len(p))


def rows_to_reach(clean_proba: ArrayLike, order: ArrayLike, share: float = 0.99) -> int | None:
    """Number of first rows that, put right, make an expected `share` of the labels right; None if all do not."""
    p = 1.0 - np.asarray(clean_proba, dtype=np.float64)
    left = p.sum() - np.concatenate([[0.0], np.cumsum(p[np.asarray(order, dtype=np.intp)])])
    enough = np.flatnonzero(left <= (1 - share) * len(p) + 1e-9)
    return int(enough[0]) if enough.size else None


def audit_line(audit: Any) -> str:
    """An audit in one line, as a notebook shows it: its arrays and tables of all rows would fill the screen."""
    suspect = audit.issues["is_label_issue"]
    return f"<{type(audit).__name__}: {suspect.sum():,} of {suspect.size:,} labels suspect>"
