"""The mixture of a clean manifold and corrupted labels (Eqs. 1-3, Sec. 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.em.main import PROB_MIN, at_least_single, check_rows, weighted_average


def given_label_likelihood(g_given: Tensor, gamma: Tensor | float, eps: Tensor | float) -> Tensor:
    """Probability of the given label under the mixture.

    Eq. (1), Sec. 3.1: ``p(y~|x) = gamma g(x)[y~] + (1 - gamma) eps``.

    Parameters
    ----------
    g_given : Tensor of shape (N,)
        ``g(x_i)[y~_i]``, in [0, 1].
    gamma : scalar in [0, 1]
        Proportion of clean labels.
    eps : scalar or Tensor of shape (N,)
        Probability of the given label if it is corrupted, in [0, 1].

    Returns
    -------
    Tensor of shape (N,), in [0, 1]
    """
    check_rows(g_given, eps)
    return gamma * g_given + (1 - gamma) * eps


def joint_likelihood(p_x: Tensor | float, g_given: Tensor, gamma: Tensor | float, eps: Tensor | float) -> Tensor:
    """Joint probability of an input and its given label.

    Eq. (2), Sec. 3.1: ``p(x, y~) = p_data(x) (gamma g(x)[y~] + (1 - gamma) eps)``.

    Parameters
    ----------
    p_x : scalar or Tensor of shape (N,)
        ``p_data(x_i)``, at least 0.
    g_given, gamma, eps
        As in `given_label_likelihood`.

    Returns
    -------
    Tensor of shape (N,), at least 0
    """
    check_rows(g_given, p_x)
    return p_x * given_label_likelihood(g_given, gamma, eps)


def objective(
    g_given: Tensor,
    gamma: Tensor | float,
    eps: Tensor | float,
    sample_weight: Tensor | None = None,
) -> Tensor:
    """Mean log-likelihood of the given labels, up to the constant ``mean log p_data(x)``.

    Eq. (3), Sec. 3.1, without the manifold constraint: ``mean_i log(gamma g(x_i)[y~_i] + (1 - gamma) eps_i)``. A label
    that is impossible costs a finite amount, ``-log PROB_MIN``.

    Parameters
    ----------
    g_given, gamma, eps
        As in `given_label_likelihood`.
    sample_weight : Tensor of shape (N,), optional
        At least 0; the mean is weighted by them.

    Returns
    -------
    scalar Tensor, at most 0
    """
    log_p = torch.log(given_label_likelihood(at_least_single(g_given), gamma, eps).clamp_min(PROB_MIN))
    return weighted_average(log_p, sample_weight)
