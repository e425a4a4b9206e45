"""The transition matrix that makes given labels most likely, from predictions of the true class (Eq. 12)."""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.em.corruption import row_normalised
from noisyflywheel.em.main import PROB_MIN

N_STEPS = 60
"""EM steps to T."""


def likely_transition(prob: Tensor, given: Tensor, sample_weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The T that makes the given labels most likely: maximum of ``sum_i log sum_k f(x_i)[k] T[k, y~_i]``.

    By EM: posteriors of Eq. (12), T in closed form (Sec. 3.3). As a prior, each class has one more row with its own
    label, and half a row spread over all labels.

    Parameters
    ----------
    prob : Tensor of shape (..., N, K), float64
        Predictions of rows that the net was not trained on, rows sum to 1; each of the leading axes has a T of its own.
    given : Tensor of shape (N,), int64
        Given labels.
    sample_weight : Tensor of shape (N,), optional
        At least 0.

    Returns
    -------
    T : Tensor of shape (..., K, K), float64
        Rows = true class.
    log_likelihood : Tensor of shape (...), float64
        Sum over the rows.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if not len(given):
        raise ValueError("There are no rows to learn T from: at least one is needed, of weight above 0.")
    n_classes = prob.shape[-1]
    kept = torch.eye(n_classes, dtype=torch.float64, device=prob.device)
    added = kept + 0.5 / n_classes
    T = (0.8 * kept + 0.2 / n_classes).repeat(*prob.shape[:-2], 1, 1)
    weight = torch.ones_like(given, dtype=prob.dtype) if sample_weight is None else sample_weight.to(prob.dtype)
    for _ in range(N_STEPS):
        share = prob * (weight / evidence_of(prob, T, given))[..., None]  # (..., N, K)
        by_label = torch.zeros_like(T).index_add_(-2, given, share).mT  # mass of Eq. (12)'s posterior
        T = row_normalised(T * by_label + added)
    return T, weighted_sum(evidence_of(prob, T, given).log(), weight)


def weighted_sum(values: Tensor, weight: Tensor) -> Tensor:
    """Sums over the rows of ``values`` (..., N) by their weights (N,): (...)."""
    each = [row @ weight for row in values.reshape(-1, len(weight))]  # dots: rows of no weight at the end change no bit
    return torch.stack(each).reshape(values.shape[:-1])


def evidence_of(prob: Tensor, T: Tensor, given: Tensor) -> Tensor:
    """``sum_k f(x_i)[k] T[k, y~_i]``: (..., N), above 0."""
    return torch.linalg.vecdot(prob, T.mT[..., given, :]).clamp_min(PROB_MIN)
