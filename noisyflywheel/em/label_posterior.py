"""Probability that a given label is the true class, from q and f, or from f and T."""

from __future__ import annotations

from torch import Tensor

from noisyflywheel.em.auxiliary import posterior_through


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
    return posterior_through(f_prob, transition_matrix, given).gather(1, given[:, None]).squeeze(1)
