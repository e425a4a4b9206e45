"""What in a fitted result should be looked at before it is used: classes that the result turns over."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisyflywheel.exceptions import FlywheelWarning
from noisyflywheel.loop.watch.guard import LEAST_ROWS

LEAST_OF_CLASS = 10
"""Fewer rows of a class say too little about it."""

MOST_NAMED = 5
"""Classes that one warning names."""


def warn_of_result(
    transition: NDArray[np.float64],
    clean_proba: NDArray[np.float64],
    refurbished: NDArray[np.int64],
    given: NDArray[np.int64],
    classes: NDArray[Any],
) -> None:
    """Warn where `suspicious_classes` finds something in a result of 200 rows or more."""
    if len(given) < LEAST_ROWS:
        return
    found = suspicious_classes(transition, clean_proba, refurbished, given, classes)
    if len(found) > MOST_NAMED:
        found = [*found[:MOST_NAMED], f"and so on, {len(found) - MOST_NAMED} more"]
    if found:
        warnings.warn(
            f"{'; '.join(found)}. Two classes may have changed places, or their labels may be useless: look at "
            f"transition_matrix_ and at rows of these classes before you use the result; more data of theirs, more "
            f"cycles, a longer warm-up or views that suit the data may help; guard=False turns this check off.",
            FlywheelWarning,
            stacklevel=2,
        )


def suspicious_classes(
    transition: NDArray[np.float64],
    clean_proba: NDArray[np.float64],
    refurbished: NDArray[np.int64],
    given: NDArray[np.int64],
    classes: NDArray[Any],
) -> list[str]:
    """Classes whose labels are all suspected, and classes that get another label more often than their own.

    Parameters
    ----------
    transition : ndarray of shape (K, K)
        T, rows = true class, columns = given class.
    clean_proba : ndarray of shape (n,)
        Probability in [0, 1] that the given label is right.
    refurbished, given : ndarray of shape (n,)
        Codes 0..K-1.
    classes : ndarray of shape (K,)
        Names.

    Returns
    -------
    list of str
        One sentence part per finding; classes with fewer than ``LEAST_OF_CLASS`` rows are left out.
    """
    n_classes = len(classes)
    n_given = np.bincount(given, minlength=n_classes)
    n_kept = np.bincount(given[clean_proba >= 0.5], minlength=n_classes)
    suspected = np.flatnonzero((n_given >= LEAST_OF_CLASS) & (n_kept == 0))
    if len(suspected) > 1 and not n_kept.any():
        return ["all labels of all classes are suspected: the nets have hardly learnt anything"]
    enough = np.bincount(refurbished, minlength=n_classes) >= LEAST_OF_CLASS
    turned = np.flatnonzero(enough & (transition.max(1) > np.diag(transition)))
    found = [f"all {n_given[k]} labels of class {classes[k]!s} are suspected" for k in suspected]
    for k in turned:
        other = int(transition[k].argmax())
        shares = f"{transition[k, other]:.0%} against {transition[k, k]:.0%}"
        found.append(f"class {classes[k]!s} seems to be labelled {classes[other]!s} more often than itself ({shares})")
    return found
