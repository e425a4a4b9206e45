"""EM of the main network: which labels are clean (Eqs. 4-7, Sec. 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor

GAMMA_MIN = 1e-4
"""gamma is kept in [GAMMA_MIN, 1 - GAMMA_MIN]: both ends of [0, 1] are absorbing under Eqs. (4) and (6)."""

EPS_MIN = 1e-6
"""Floor of eps, the probability of a given label if it is corrupted."""

PROB_MIN = 1e-30
"""Floor of a network's probability before its logarithm."""


def at_least_single(p: Tensor) -> Tensor:
    """Half precision and whole numbers as float32, for they do not hold the bounds above; any other as it is."""
    return p if p.is_floating_point() and p.dtype.itemsize >= 4 else p.float()


def check_rows(values: Tensor, *others: Tensor | float) -> None:
    """Raise ValueError if any of ``others`` would stretch the shape of ``values`` (..., N), as a column does."""
    for other in others:
        shape, own = getattr(other, "shape", ()), values.shape
        if len(shape) > len(own) or any(n not in (1, m) for n, m in zip(reversed(shape), reversed(own), strict=False)):
            raise ValueError(
                f"Shapes {tuple(own)} and {tuple(shape)} do not go together: give numbers of rows as (N,), no column."
            )


def columns_of(matrix: Tensor, given: Tensor) -> Tensor:
    """The column of ``matrix`` (K, K) of each label (N,): (N, K). Labels below 0 are refused like those above K - 1."""
    return matrix.T.contiguous().index_select(0, given)


def weighted(values: Tensor, weight: Tensor) -> Tensor:
    """``weight * values``, and 0 where a weight of 0 meets an infinite value, such as the logarithm of 0."""
    check_rows(values, weight)
    return weight * values.masked_fill((weight == 0) & values.isinf(), 0)


def clean_posterior(g_given: Tensor, gamma: Tensor | float, eps: Tensor | float) -> Tensor:
    """Probability that a given label comes from the clean manifold.

    Eq. (4), Sec. 3.2, in log space: ``sigmoid(log gamma + log g - log(1 - gamma) - log eps)``.

    Parameters
    ----------
    g_given : Tensor of shape (N,)
        ``g(x_i)[y~_i]``, in [0, 1].
    gamma : scalar in [0, 1]
        Proportion of clean labels; clipped into ``[GAMMA_MIN, 1 - GAMMA_MIN]``.
    eps : scalar or Tensor of shape (N,)
        ``p(y~_i | x_i, s_i = 0)``, in [0, 1]; floored at ``EPS_MIN``.

    Returns
    -------
    Tensor of shape (N,)
        ``q_i = p(s_i = 1 | x_i, y~_i)``, in [0, 1]; of the type of ``g_given``, at least float32.
    """
    check_rows(g_given, eps)
    g_given = at_least_single(g_given)
    gamma = clip_clean_rate(torch.as_tensor(gamma, dtype=g_given.dtype, device=g_given.device))
    eps = torch.as_tensor(eps, dtype=g_given.dtype, device=g_given.device).clamp_min(EPS_MIN)
    return torch.sigmoid(torch.logit(gamma) + torch.log(g_given.clamp_min(PROB_MIN)) - torch.log(eps))


def expected_log_likelihood(q: Tensor, g_given: Tensor, gamma: Tensor | float, eps: Tensor | float) -> Tensor:
    """Objective of the main M-step.

    Eq. (5), Sec. 3.2: ``mean_i q_i log(gamma g(x_i)[y~_i]) + (1 - q_i) log((1 - gamma) eps_i)``.

    Parameters
    ----------
    q : Tensor of shape (N,)
        Clean probabilities, Eq. (4), in [0, 1].
    g_given : Tensor of shape (N,)
        ``g(x_i)[y~_i]``, in [0, 1].
    gamma : scalar in [0, 1]
        Proportion of clean labels.
    eps : scalar or Tensor of shape (N,)
        ``p(y~_i | x_i, s_i = 0)``, in [0, 1].

    Returns
    -------
    scalar Tensor, at most 0
    """
    check_rows(q, g_given, eps)
    q, g_given = at_least_single(q), at_least_single(g_given)
    gamma = torch.as_tensor(gamma, dtype=g_given.dtype)
    eps = torch.as_tensor(eps, dtype=g_given.dtype)
    clean = torch.xlogy(q, (gamma * g_given).clamp_min(PROB_MIN))
    corrupted = torch.xlogy(1 - q, ((1 - gamma) * eps).clamp_min(PROB_MIN))
    return (clean + corrupted).mean()


def clip_clean_rate(gamma: Tensor) -> Tensor:
    """Gamma kept off both absorbing ends of [0, 1]."""
    return gamma.clamp(GAMMA_MIN, 1 - GAMMA_MIN)


def update_clean_rate(q: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Proportion of clean labels.

    Eq. (6), Sec. 3.2: ``gamma = mean_i q_i``, kept in ``[GAMMA_MIN, 1 - GAMMA_MIN]``.

    Parameters
    ----------
    q : Tensor of shape (N,)
        Clean probabilities, Eq. (4), in [0, 1].
    sample_weight : Tensor of shape (N,), optional
        At least 0; the mean is weighted by them.

    Returns
    -------
    scalar Tensor
    """
    return clip_clean_rate(weighted_average(at_least_single(q), sample_weight))


def weighted_average(values: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """``sum w v / sum w`` of ``values`` (N,), their mean without weights (N,); a scalar."""
    if sample_weight is None:
        return values.mean()
    check_rows(values, sample_weight)
    check_rows(sample_weight, values)
    return (values * sample_weight).sum() / sample_weight.sum()


def reweighted_cross_entropy(log_g: Tensor, given: Tensor, q: Tensor) -> Tensor:
    """Cross-entropy on the given labels, each weighted by its clean probability.

    Eq. (7), Sec. 3.2; the ablation without an auxiliary network trains g with it. A label of weight 0
    counts as 0, also where g rules it out.

    Parameters
    ----------
    log_g : Tensor of shape (N, K)
        Log-probabilities of g.
    given : Tensor of shape (N,), int64
        Given labels.
    q : Tensor of shape (N,)
        Clean probabilities, in [0, 1].

    Returns
    -------
    scalar Tensor, at least 0
    """
    return -weighted(log_g.gather(1, given[:, None]).squeeze(1), q).mean()
