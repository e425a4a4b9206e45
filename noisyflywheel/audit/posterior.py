"""From out-of-fold class probabilities to the probability that each given label is right.

`n` rows, `K` classes, `given` are class codes 0 … K-1. Every matrix has rows = true
class and columns = given class. A classifier trained on noisy labels predicts the *given* label;
`noisy_class_posterior` turns that into the true class. To the explanations of `noisyflywheel.em.sharpness` it adds that
of confident learning, which counts the confusions of sure rows: chance is smoothed out of the counts, and they are
divided out of the probabilities.

References
----------
C. Northcutt, L. Jiang, I. Chuang. Confident Learning: Estimating Uncertainty in Dataset Labels. JAIR 2021.
W. Richardson. Bayesian-Based Iterative Method of Image Restoration. JOSA 1972.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisyflywheel.em.sharpness import CHEAPER, Explanation, averaged_posterior

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

TINY = 1e-12
TEMPERATURES = tuple(0.125 * 2 ** (i / 2) for i in range(11))
"""Grid of temperatures, 0.125 to 4, half an octave apart."""

DOUBT = 1e-3
"""Floor of a classifier's probabilities: votes of trees count to 0 where a label is only unlikely."""


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


def deconvolve(proba: Array, transition_matrix: Array, n_iter: int = 5) -> Array:
    """Probabilities of the true class whose image under T is `proba` (Richardson's iteration from uniform).

    Few iterations on purpose: many amplify the classifier's own errors.

    Parameters
    ----------
    proba : ndarray of shape (n, K)
        Probabilities of the given label.
    transition_matrix : ndarray of shape (K, K)
        T, rows = true class.

    Returns
    -------
    clean : ndarray of shape (n, K)
        Rows sum to 1.
    """
    clean = np.full_like(proba, 1.0 / proba.shape[1])
    for _ in range(n_iter):
        ratio = proba / np.maximum(clean @ transition_matrix, TINY)
        clean = clean * (ratio @ transition_matrix.T)
    return _normalise(clean)


def sharpen(proba: Array, temperature: float) -> Array:
    """Rows of `proba` (n, K) to the power 1 / temperature, normalised."""
    log_p = np.log(np.maximum(proba, 1e-6)) / temperature
    return _normalise(np.exp(log_p - log_p.max(axis=1, keepdims=True)))


def given_likelihood(clean: Array, transition_matrix: Array, given: Codes) -> Array:
    """p(given label | x) of shape (n,): the true class summed out, `sum_y clean[y] T[y, given]`."""
    return np.einsum("nk,kn->n", clean, transition_matrix[:, given])


def true_class_posterior(clean: Array, transition_matrix: Array, given: Codes) -> Array:
    """p(true class | x, given label) by Bayes' rule.

    Parameters
    ----------
    clean : ndarray of shape (n, K)
        Probabilities of the true class that do not know the given label.
    transition_matrix : ndarray of shape (K, K)
        T, rows = true class.
    given : ndarray of int of shape (n,)

    Returns
    -------
    posterior : ndarray of shape (n, K)
        Rows sum to 1; a row whose given label is impossible keeps `clean`.
    """
    joint = clean * transition_matrix[:, given].T
    evidence = joint.sum(axis=1, keepdims=True)
    return np.where(evidence > 0, joint / np.maximum(evidence, np.finfo(float).tiny), clean)


def fit_temperature(clean: Array, transition_matrix: Array, given: Codes) -> float:
    """Temperature of `clean` on a grid that makes the given labels most likely."""

    def log_likelihood(temperature: float) -> float:
        p = given_likelihood(sharpen(clean, temperature), transition_matrix, given)
        return float(np.log(np.maximum(p, TINY)).sum())

    return max(TEMPERATURES, key=log_likelihood)


def noisy_class_posterior(proba: Array, given: Codes) -> tuple[Array, Array, Array]:
    """Posterior of the true class from out-of-fold probabilities of a classifier trained on noisy labels.

    `noisyflywheel.em.averaged_posterior`, with confident learning's T among the explanations.

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
    doubted = torch.from_numpy(np.maximum(proba, DOUBT))
    found = averaged_posterior(doubted, torch.from_numpy(given), further=by_confident_learning)
    return found.guess.numpy(), found.refurbished.numpy(), found.transition.numpy()


def by_confident_learning(p: Tensor, given: Tensor, weight: Tensor) -> Iterator[Explanation]:
    """Predictions (n, K) with the T of the confident rows divided out, made sharper or flatter."""
    codes = given.numpy()
    T = transition_from_joint(shrink_confusions(confident_joint(p.numpy(), codes)))
    for temperature in TEMPERATURES:
        guess = partial(guess_of, transition_matrix=T, temperature=temperature)
        likely = np.log(np.maximum(given_likelihood(guess(p).numpy(), T, codes), TINY)) @ weight.numpy()
        yield Explanation(guess, torch.from_numpy(T), torch.tensor(likely - CHEAPER))


def guess_of(p: Tensor, transition_matrix: Array, temperature: float) -> Tensor:
    """Distribution of the true class (n, K) from predictions (n, K) of the given one."""
    return torch.from_numpy(sharpen(deconvolve(p.numpy(), transition_matrix), temperature))
