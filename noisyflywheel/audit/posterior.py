"""From out-of-fold class probabilities to the probability that each given label is right.

`n` rows, `K` classes, `given` are class codes 0 … K-1. Every matrix has rows = true class and columns = given class. A
classifier trained on noisy labels predicts the *given* label; `noisy_class_posterior` turns that into the true class
(`noisyflywheel.em.averaged_posterior`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from noisyflywheel import em

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

TINY = 1e-12
FLOOR = 1e-3
"""What is added to every probability: a forest says 0 where none of its hundred trees saw a class."""

TEMPERATURES = tuple(0.125 * 2 ** (i / 2) for i in range(11))
"""Grid of temperatures, 0.125 to 4, half an octave apart."""


def _normalise(rows: Array) -> Array:
    """Rows scaled to sum 1."""
    return rows / np.maximum(rows.sum(axis=1, keepdims=True), TINY)


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
    floored = (proba + FLOOR) / (1 + FLOOR * proba.shape[1])
    found = em.averaged_posterior(torch.from_numpy(floored), torch.from_numpy(given))
    return np.asarray(found.guess), np.asarray(found.refurbished), np.asarray(found.transition)
