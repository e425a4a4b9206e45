"""Temperature of g by maximum likelihood of the given labels (objective 3 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noisyflywheel.em.main import PROB_MIN, at_least_single, check_rows, weighted_average
from noisyflywheel.em.mixture import objective
from noisyflywheel.em.some_rows import MANY_ROWS, some_rows

TEMPERATURES = tuple(0.25 * 2 ** (i / 4) for i in range(25))
"""Grid of temperatures, 0.25 to 16, a quarter of an octave apart."""

CLEAN_RATES = 50
"""`calibrate_with_clean_rate` tries gamma in steps of 1 / CLEAN_RATES."""


def tempered_given(log_g: Tensor, given: Tensor, temperature: float) -> Tensor:
    """Probability of the given label by g at a temperature: ``g_tau(x_i)[y~_i]``.

    Temperature scaling (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017): logits are divided by tau.

    Parameters
    ----------
    log_g : Tensor of shape (N, K)
        Log-probabilities of g.
    given : Tensor of shape (N,), int64
        Given labels.
    temperature : float, above 0
        tau; above 1 flattens, below 1 sharpens.

    Returns
    -------
    Tensor of shape (N,), in [0, 1]
    """
    scaled = torch.log_softmax(log_g / temperature, 1)
    return scaled.gather(1, given[:, None]).squeeze(1).exp()


def calibrate(
    log_g: Tensor, given: Tensor, gamma: Tensor | float, eps: Tensor, sample_weight: Tensor | None = None
) -> float:
    """Temperature of g that makes the given labels most likely at a known clean rate.

    Maximises objective (3), ``mean_i log(gamma g_tau(x_i)[y~_i] + (1 - gamma) eps_i)``, over a grid of tau. gamma is
    not maximised over: where g has not fitted its labels that would end in the trivial solution of Sec. 3.1, for a flat
    g explains noisy labels as well as the mixture does, and gamma runs to 1.

    Parameters
    ----------
    log_g : Tensor of shape (N, K)
        Log-probabilities of g.
    given : Tensor of shape (N,), int64
        Given labels.
    gamma : scalar in [0, 1]
        Clean rate.
    eps : Tensor of shape (N,)
        ``p(y~_i | x_i, s_i = 0)``.
    sample_weight : Tensor of shape (N,), optional
        At least 0.

    Returns
    -------
    float
        In ``TEMPERATURES``; 1 leaves g as it is, above 1 flattens it.
    """
    eps = at_least_single(eps)
    tempered = (tempered_given(log_g, given, temperature).to(eps.dtype) for temperature in TEMPERATURES)
    values = [objective(g_given, gamma, eps, sample_weight=sample_weight) for g_given in tempered]
    return TEMPERATURES[likeliest(values)]


def likeliest(values: Sequence[Tensor]) -> int:
    """Place of the largest of some scalars, the first of equal ones."""
    return int(torch.stack([*values]).argmax())  # sync: one scalar


def calibrate_with_clean_rate(
    log_g: Tensor, given: Tensor, eps: Tensor, sample_weight: Tensor | None = None
) -> tuple[float, float]:
    """Temperature of g and gamma that together make the given labels most likely: maximum of objective (3) over both.

    Only for rows that g was not trained on. On training rows, a net that has memorised wrong labels explains them, and
    gamma runs to 1, the trivial solution of Sec. 3.1. Of more than `MANY_ROWS` rows a random sample is taken.

    Parameters
    ----------
    log_g : Tensor of shape (N, K)
        Log-probabilities of g on rows it has not seen.
    given : Tensor of shape (N,), int64
        Given labels.
    eps : Tensor of shape (N,), float64
        ``p(y~_i | x_i, s_i = 0)``.
    sample_weight : Tensor of shape (N,), optional
        At least 0.

    Returns
    -------
    temperature : float
        In ``TEMPERATURES``.
    gamma : float
        On a grid of fiftieths within (0, 1).
    """
    if len(given) > MANY_ROWS:
        rows = some_rows(len(given), given.device)
        log_g, given, eps = log_g[rows], given[rows], eps[rows]
        sample_weight = None if sample_weight is None else sample_weight[rows]
    gammas = torch.arange(1, CLEAN_RATES, dtype=torch.float64, device=eps.device)[:, None] / CLEAN_RATES
    values, corrupted = [], (1 - gammas) * eps
    for temperature in TEMPERATURES:
        g_given = tempered_given(log_g, given, temperature).double()
        log_p = (gammas * g_given).add_(corrupted).clamp_min_(PROB_MIN).log_()  # (rates, N)
        values.append(log_p.mean(1) if sample_weight is None else (log_p * sample_weight).sum(1) / sample_weight.sum())
    at = int(torch.stack(values).argmax())  # sync: one scalar
    return TEMPERATURES[at // len(gammas)], (at % len(gammas) + 1) / CLEAN_RATES


def agreement(prob: Tensor, given: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Share of the given labels that are predicted.

    Sec. 4.1 takes that of f after the warm-up as the first gamma.

    Parameters
    ----------
    prob : Tensor of shape (N, K)
        Predictions.
    given : Tensor of shape (N,), int64
        Given labels.
    sample_weight : Tensor of shape (N,), optional
        At least 0; the share is weighted by them.

    Returns
    -------
    scalar Tensor, float64, in [0, 1]
    """
    predicted = prob.argmax(1)
    check_rows(predicted, given)
    return weighted_average((predicted == given).double(), sample_weight)


def overconfidence(log_g: Tensor, f_prob: Tensor) -> float:
    """Mean confidence of g less the share of rows where g and f predict the same class; no label is needed.

    Two nets trained on the same rows agree about as often as their confidence says if that is calibrated; above 0 g is
    too sure of its classes.

    Parameters
    ----------
    log_g : Tensor of shape (N, K)
        Log-probabilities of g.
    f_prob : Tensor of shape (N, K)
        Prediction of f.

    Returns
    -------
    float, in [-1, 1]
    """
    agree = (log_g.argmax(1) == f_prob.argmax(1)).double().mean()
    return float(log_g.max(1).values.double().exp().mean() - agree)
