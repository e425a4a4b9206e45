"""Probability that a given label is the true class, from q and f, or from f and T."""

from __future__ import annotations

from torch import Tensor

from noisyflywheel.em.auxiliary import posterior_through
from noisyflywheel.em.main import check_rows


def mean_posterior(q: Tensor, f_given: Tensor) -> Tensor:
    """Probability that the given label is the true class, from means over cycles.

    Eq. (11), Sec. 3.3, at the given label: ``q_i + (1 - q_i) f(x_i)[y~_i]``. Means, because the q of a single cycle is
    close to 0 or 1 more often than it should be.

    Parameters
    ----------
    q : Tensor of shape (n,)
        Clean probabilities, averaged over cycles, in [0, 1].
    f_given : Tensor of shape (n,)
        f's probability of the given label, averaged over cycles, in [0, 1].

    Returns
    -------
    Tensor of shape (n,), in [0, 1]
    """
    check_rows(q, f_given)
    return q + (1 - q) * f_given


def bayes_posterior(f_prob: Tensor, transition_matrix: Tensor, given: Tensor) -> Tensor:
    """Probability that the given label is the true class, from f and T by Bayes' rule.

    ``f(x_i)[y~_i] T[y~_i, y~_i] / sum_k f(x_i)[k] T[k, y~_i]``, `posterior_through` at the given label. Where wrong
    labels are spread over many classes, each of them is rare, and a given label that f holds possible is likely right.

    Parameters
    ----------
    f_prob : Tensor of shape (n, K)
        Prediction of f; rows sum to 1.
    transition_matrix : Tensor of shape (K, K)
        T, rows = true class, columns = given class.
    given : Tensor of shape (n,), int64
        Given labels.

    Returns
    -------
    Tensor of shape (n,), in [0, 1]
        f's own probability where T and f rule the given label out. Of the type of ``f_prob``, at least float32.
    """
    return posterior_through(f_prob, transition_matrix, given).gather(1, given[:, None]).squeeze(1)
