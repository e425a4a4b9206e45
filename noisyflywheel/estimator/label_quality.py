"""From the loop's scores to a verdict on each label: ranking score and calibrated clean probability."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

TINY = 1e-300

BAYES_SHARE = 0.3
"""Share of `bayes_posterior` in the clean probability, the rest is Eq. (11) averaged over cycles: Eq. (11) alone
counts a tenth too many errors among 77 classes, T alone too few of those that humans make."""

RANK_SHARE = 1e-3
"""Share of the plain rank in `calibrated`: keeps rows apart that the isotonic map would tie."""


def mean_posterior(q: Tensor, f_given: Tensor) -> Tensor:
    """Probability that the given label is the true class, from cycle means: Eq. (11) at the given label.

    ``q_i + (1 - q_i) f(x_i)[y~_i]`` with ``q`` and ``f_given`` averaged over cycles: a single cycle's q is close to
    0 or 1 more often than it should be. All arrays have shape (n,) and values in [0, 1].
    """
    return q + (1 - q) * f_given


def bayes_posterior(f_prob: Tensor, transition_matrix: Tensor, given: Tensor) -> Tensor:
    """Probability that the given label is the true class, from f and T by Bayes' rule.

    ``f(x_i)[y~_i] T[y~_i, y~_i] / sum_k f(x_i)[k] T[k, y~_i]``: where errors fall on many classes, a given label that f
    holds possible at all is more likely right than wrong. Rows of T = true class.

    Parameters
    ----------
    f_prob : Tensor of shape (n, K)
    transition_matrix : Tensor of shape (K, K)
    given : Tensor of shape (n,), int64

    Returns
    -------
    Tensor of shape (n,), in [0, 1]; f's own probability where the given label is impossible
    """
    own = f_prob.gather(1, given[:, None]).squeeze(1)
    evidence = (f_prob * transition_matrix.T[given]).sum(1)
    return torch.where(evidence > 0, own * transition_matrix.diagonal()[given] / evidence.clamp_min(TINY), own).clamp(
        0, 1
    )


def calibrated(quality: NDArray[np.float64], posterior: NDArray[np.float64]) -> NDArray[np.float64]:
    """A rising map of a ranking score onto a posterior: the order of the one, the level of the other.

    Isotonic regression of ``posterior`` on ``quality`` keeps the mean of the posterior, so the expected number of
    wrong labels is unchanged.

    Parameters
    ----------
    quality : ndarray of shape (n,)
        Ranking score in [0, 1], higher = more likely right.
    posterior : ndarray of shape (n,)
        Probability in [0, 1] that the given label is right.

    Returns
    -------
    ndarray of shape (n,), in [0, 1]
    """
    level = np.clip(IsotonicRegression(out_of_bounds="clip").fit_transform(quality, posterior), 0.0, 1.0)
    rank = rankdata(quality) / len(quality)
    return np.asarray((1 - RANK_SHARE) * level + RANK_SHARE * rank)
