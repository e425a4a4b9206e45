"""T, and the true classes, from predictions that were trained on the given labels, of rows that they have not seen.

Such a prediction tends to ``p(y~ | x)``. If that is (.7, .3) nearly everywhere, either the classes are easy to tell
apart and three labels in ten are wrong, or they overlap and the labels are right: the likelihood of the given labels
(objective 3) is the same. It does tell the two apart where predictions differ from row to row. So every temperature of
the predictions is tried with the T that suits it, and what they say of a row is averaged by how likely each makes
the given labels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from noisyflywheel.em.auxiliary import posterior_through
from noisyflywheel.em.calibration import TEMPERATURES
from noisyflywheel.em.corruption import row_normalised
from noisyflywheel.em.main import PROB_MIN

MOST_FLAT = 4.0
"""Highest temperature that is tried."""

SHARPER = 2.0
"""Temperatures count by ``tau ** -SHARPER`` beside the likelihood: of explanations that are as good, the one with fewer
rows between classes, which is what the confidence regularizer (Eq. 9) asks of g."""

N_STEPS, MOST_NUMBERS = 60, 400_000
"""EM steps to T, and probabilities of evenly spaced rows that T is learnt from at most."""


def likely_transition(prob: Tensor, given: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The T that makes the given labels most likely: maximum of ``sum_i log sum_k f(x_i)[k] T[k, y~_i]``.

    By EM (Eqs. 12 and the closed form of T in Sec. 3.3), with one more row a class that keeps its label and half a row
    whose label is anything.

    Parameters
    ----------
    prob : Tensor of shape (N, K), float64
        Predictions of rows that the net was not trained on, rows sum to 1.
    given : Tensor of shape (N,), int64
    sample_weight : Tensor of shape (N,), optional
        At least 0.

    Returns
    -------
    T : Tensor of shape (K, K), float64
        Rows = true class.
    log_likelihood : scalar Tensor, float64
        Sum over the rows.
    """
    n_classes = prob.shape[1]
    kept = torch.eye(n_classes, dtype=torch.float64, device=prob.device)
    added = kept + 0.5 / n_classes
    T = 0.8 * kept + 0.2 / n_classes
    weight = torch.ones_like(prob[:, 0]) if sample_weight is None else sample_weight.to(prob.dtype)
    for _ in range(N_STEPS):
        share = prob * (weight / evidence_of(prob, T, given))[:, None]  # (N, K)
        by_label = torch.zeros_like(T).index_add_(0, given, share).T
        T = row_normalised(T * by_label + added)  # mass of Eq. (12)'s posterior, by given label
    return T, evidence_of(prob, T, given).log() @ weight


def evidence_of(prob: Tensor, T: Tensor, given: Tensor) -> Tensor:
    """``sum_k f(x_i)[k] T[k, y~_i]``: (N,), above 0."""
    return torch.linalg.vecdot(prob, T.T[given]).clamp_min(PROB_MIN)


class AveragedPosterior(NamedTuple):
    """What `averaged_posterior` finds; all float64."""

    refurbished: Tensor
    """Distribution of the true class, given the label: (N, K), rows sum to 1."""
    transition: Tensor
    """T, the mean of the temperatures' matrices: (K, K), rows = true class."""
    guess: Tensor
    """Distribution of the true class, not given the label: (N, K), rows sum to 1."""


def averaged_posterior(prob: Tensor, given: Tensor, sample_weight: Tensor | None = None) -> AveragedPosterior:
    """Distribution of the true class given the label, averaged over temperatures of the predictions.

    Parameters
    ----------
    prob : Tensor of shape (N, K)
        Predictions of rows that the net was not trained on, rows sum to 1.
    given : Tensor of shape (N,), int64
        Given labels.
    sample_weight : Tensor of shape (N,), optional
        At least 0.

    Returns
    -------
    AveragedPosterior
    """
    log_p = prob.double().clamp_min(PROB_MIN).log()
    rows = slice(None, None, -(-prob.numel() // MOST_NUMBERS))
    weights = None if sample_weight is None else sample_weight[rows]
    tried = [tau for tau in TEMPERATURES if tau <= MOST_FLAT]
    matrices, scores = [], []
    for tau in tried:
        T, likelihood = likely_transition(torch.softmax(log_p[rows] / tau, 1), given[rows], weights)
        matrices.append(T)
        scores.append(likelihood)
    taus = torch.tensor(tried, dtype=torch.float64, device=prob.device)
    share = torch.softmax(torch.stack(scores) - SHARPER * taus.log(), 0)  # (temperatures,)
    refurbished, guess = torch.zeros_like(log_p), torch.zeros_like(log_p)
    for tau, T, s in zip(tried, matrices, share, strict=True):
        at_tau = torch.softmax(log_p / tau, 1)
        guess += s * at_tau
        refurbished += s * posterior_through(at_tau, T, given)
    return AveragedPosterior(refurbished, torch.einsum("t,tij->ij", share, torch.stack(matrices)), guess)
