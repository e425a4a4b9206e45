"""From out-of-fold class probabilities to the probability that each given label is right.

`n` rows, `K` classes, `given` are class codes 0 … K-1. Every matrix has rows = true
class and columns = given class. A classifier trained on noisy labels predicts the *given* label;
`noisy_class_posterior` turns that into the true class: a mixture of what `noisyflywheel.em.sharpness` says and of
confident learning, which counts the confusions of sure rows; chance is smoothed out of the counts, they are divided out
of the probabilities, and one temperature makes the given labels most likely.

References
----------
C. Northcutt, L. Jiang, I. Chuang. Confident Learning: Estimating Uncertainty in Dataset Labels. JAIR 2021.
W. Richardson. Bayesian-Based Iterative Method of Image Restoration. JOSA 1972.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.stats import truncnorm

from noisyflywheel.em.auxiliary import posterior_through
from noisyflywheel.em.calibration import TEMPERATURES
from noisyflywheel.em.division import divided_out, scaled
from noisyflywheel.em.flattening import temperature_through
from noisyflywheel.em.main import PROB_MIN
from noisyflywheel.em.sharpness import MOST_FLAT, averaged_posterior
from noisyflywheel.estimator.auto.separability import TOLD_APART, of_predictions

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

TINY = 1e-12
GRID = tuple(tau for tau in TEMPERATURES if tau <= MOST_FLAT)
"""Temperatures that are tried."""

FEW_DIVISIONS = 5
"""Steps of Richardson's iteration from even probabilities: many amplify the classifier's own errors."""

FEW_CONFUSED, ROWS_AT_ONCE = 0.05, 256
"""Share of the numbers of T, at most, that differ within a row where it is taken apart, and rows that are then divided
at a time."""

LEAST = 1e-6
"""Floor of the probabilities of a model whose T is known."""

DOUBT = 1e-3
"""Floor of a classifier's probabilities: votes of trees count to 0 where a label is only unlikely."""

MANY_CLASSES = 40
"""Beyond these confident learning alone judges: the T of `averaged_posterior` is learnt from parts of many rows, which
then hold too few of each class."""


def _normalise(rows: Array) -> Array:
    """Rows scaled to sum 1."""
    return rows / np.maximum(rows.sum(axis=1, keepdims=True), TINY)


def confident_joint(proba: Array, given: Codes) -> Array:
    """Number of rows by (true, given) class, counted over confident rows (Northcutt et al. 2021, Sec. 3.1).

    A row counts for the likeliest class among those whose probability reaches the mean that the rows given
    this class have; columns are scaled to the number of rows given each class.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
        Out-of-fold probabilities.
    given : ndarray of int of shape (n,)
        Codes of the given labels.

    Returns
    -------
    joint : ndarray of shape (K, K)
        Sums to n if every class has a confident row.
    """
    n_classes = proba.shape[1]
    n_given = np.bincount(given, minlength=n_classes)
    own = np.bincount(given, proba[np.arange(given.size), given], n_classes)
    threshold = np.where(n_given > 0, own / np.maximum(n_given, 1), np.inf)
    reached = np.where(proba >= threshold - TINY, proba, -1.0)
    sure = reached.max(axis=1) >= 0
    joint = np.zeros((n_classes, n_classes))
    np.add.at(joint, (reached.argmax(axis=1)[sure], given[sure]), 1.0)
    empty = joint.sum(axis=0) == 0
    joint[empty, empty] = 1.0
    return joint / joint.sum(axis=0) * n_given


def shrink_confusions(joint: Array) -> Array:
    """Confusion counts pulled towards the mean of their true class, as far as they differ only by chance.

    Where the counts of a class scatter no more than Poisson counts of equal mean, its errors are even and the
    scatter is noise; where they scatter far more, the confusions are real and stay. The weight is
    `1 - mean / variance` of the counts off the diagonal, pooled over the classes and floored at 0.

    Parameters
    ----------
    joint : ndarray of shape (K, K)
        Rows by (true, given) class.

    Returns
    -------
    joint : ndarray of shape (K, K)
        Same row sums and diagonal.
    """
    n_classes = joint.shape[0]
    if n_classes < 3:
        return joint
    wrong = ~np.eye(n_classes, dtype=bool)
    mean = np.where(wrong, joint, 0.0).sum(axis=1, keepdims=True) / (n_classes - 1)
    variance = ((joint - mean) ** 2)[wrong].sum() / (n_classes * (n_classes - 2))
    weight = max(0.0, 1.0 - float(mean.mean()) / max(float(variance), TINY))
    return np.where(wrong, weight * joint + (1 - weight) * mean, joint)


def transition_from_joint(joint: Array, pseudo_count: float = 1e-3) -> Array:
    """T of shape (K, K) from counts by (true, given) class; a class without counts gets the identity row."""
    counts = joint + pseudo_count / joint.shape[0]
    empty = joint.sum(axis=1) == 0
    counts[empty] = np.eye(joint.shape[0])[empty]
    return _normalise(counts)


def noisy_class_posterior(proba: Array, given: Codes) -> tuple[Array, Array, Array]:
    """Posterior of the true class from out-of-fold probabilities of a classifier trained on noisy labels.

    A mixture of what two judges say: `noisyflywheel.em.averaged_posterior`, and confident learning's T. The first is
    the better one where classes overlap, for the second takes every confusion of sure rows for a wrong label; the
    second where they are far apart and many labels of one class have gone to another, which the likelihood of the
    given labels does not tell from overlap. How far apart they are says `share_of_confident`. Of more than
    `MANY_CLASSES` classes the second one judges alone.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
        Out-of-fold probabilities.
    given : ndarray of int of shape (n,)

    Returns
    -------
    clean : ndarray of shape (n, K)
        p(true class | x).
    posterior : ndarray of shape (n, K)
        p(true class | x, given label).
    transition_matrix : ndarray of shape (K, K)
        T, rows = true class.
    """
    proba = _normalise(np.maximum(proba, DOUBT))
    confident = confident_posterior(proba, given)
    if proba.shape[1] > MANY_CLASSES:
        return confident
    found = averaged_posterior(torch.from_numpy(proba), torch.from_numpy(given), temperatures=GRID)
    share = share_of_confident(proba, given)
    clean, posterior, T = (
        (1 - share) * one.numpy() + share * other
        for one, other in zip((found.guess, found.refurbished, found.transition), confident, strict=True)
    )
    return clean, posterior, T


def share_of_confident(proba: Array, given: Codes) -> float:
    """How much confident learning counts: half, times the probability that the classes are told apart.

    The separability is known with a normal error and lies between 0 and 1, each value being as likely before it is
    asked for: told apart is above the bound of `noisyflywheel.estimator.auto.separability`.
    """
    told = of_predictions(torch.from_numpy(proba), torch.from_numpy(given))
    value, error = min(told.value, 1.0), max(told.error, TINY)
    return 0.5 * float(truncnorm.sf(TOLD_APART, -value / error, (1 - value) / error, loc=value, scale=error))


def divided_by_few(proba: Array, T: Array) -> Array:
    """Distributions of the true class (n, K) whose image under ``T`` (K, K) is nearly ``proba``, by `FEW_DIVISIONS`.

    Of many classes most are never taken for each other: all but few numbers in a row of T are the same one.
    """
    base = T.min(axis=1)
    rest = csr_matrix(T - base[:, None])
    if rest.nnz > FEW_CONFUSED * T.size:
        even = torch.full(proba.shape, 1 / len(T), dtype=torch.float64)
        return divided_out(torch.from_numpy(proba), torch.from_numpy(T), FEW_DIVISIONS, even).numpy()
    clean = np.empty_like(proba)
    back = rest.T.tocsr()
    for start in range(0, len(proba), ROWS_AT_ONCE):
        p = np.ascontiguousarray(proba[start : start + ROWS_AT_ONCE].T)  # (K, rows)
        guess = np.full_like(p, 1 / len(T))
        for _ in range(FEW_DIVISIONS):  # `divided_out`, as ``T = rest + base``: each product is the sum of both parts
            ratio = p / np.maximum(back @ guess + base @ guess, PROB_MIN)
            guess *= rest @ ratio + np.outer(base, ratio.sum(axis=0))
            guess /= np.maximum(guess.sum(axis=0), PROB_MIN)
        clean[start : start + ROWS_AT_ONCE] = guess.T
    return clean


def confident_posterior(proba: Array, given: Codes) -> tuple[Array, Array, Array]:
    """p(true class | x), p(true class | x, given label) and T by confident learning: T divided out of ``proba``."""
    T = transition_from_joint(shrink_confusions(confident_joint(proba, given)))
    return *posterior_of_known(divided_by_few(proba, T), given, T), T


def posterior_of_known(proba: Array, given: Codes, T: Array) -> tuple[Array, Array]:
    """p(true class | x) and p(true class | x, given label), both (n, K), of a model whose T (K, K) is known.

    One temperature of its probabilities (n, K) makes the given labels most likely.
    """
    p, codes, known = (torch.from_numpy(one) for one in (_normalise(np.maximum(proba, LEAST)), given, T))
    clean = scaled(p, temperature_through(p, codes, known, GRID))
    return clean.numpy(), posterior_through(clean, known, codes).numpy()
