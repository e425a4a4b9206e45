"""The losses of both M-steps: Eqs. 8, 9 and 13 of the paper and the contrastive loss of Sec. 4.1."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from noisyflywheel.em.main import at_least_single, weighted

CLAMP = 1e-8
"""Added to probabilities inside the confidence regularizer's logarithm (the form of CORES2)."""

SLACK = 0.25
"""Share of the bound at which `limited_weight` holds lambda: at half of it two classes in the ratio 9:1 still change
places."""


def weighted_mean(values: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Mean of ``values`` (..., B) times the weights of their rows (..., B), of mean 1 over all rows; a scalar."""
    return values.mean() if sample_weight is None else weighted(values, sample_weight).mean()


def confidence_regularizer(g_prob: Tensor, prior: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Mean expected log-probability of a random label: large when g is not confident.

    Eq. (9), Sec. 3.2: ``eta = mean_i sum_y p_data(y^) log g(x_i)[y]``, with ``log(g + 1e-8)``: with the exact
    logarithm the sum of Eq. (8) is unbounded below for every positive weight.

    Parameters
    ----------
    g_prob : Tensor of shape (B, K)
        Probabilities of g; half precision counts as float32.
    prior : Tensor of shape (K,)
        ``p_data(y^)``, sums to 1.
    sample_weight : Tensor of shape (B,), optional
        At least 0, of mean 1 over all rows.

    Returns
    -------
    scalar Tensor, at least ``log 1e-8`` without weights
    """
    log_g = torch.log(at_least_single(g_prob) + CLAMP)  # CLAMP is 0 in float16
    return weighted_mean(log_g @ prior.to(log_g.dtype), sample_weight)


def limited_weight(weight: float, prior: Tensor) -> Tensor:
    """The confidence regularizer's weight, lowered where classes of unequal size would turn it against the labels.

    For a row with label ``c`` Eq. (8) prefers ``c`` to another class ``j`` only if ``weight * (p(c) - p(j)) < 1``: with
    all mass on ``c`` it is ``weight * (1 - p(c)) * log CLAMP``, with all but CLAMP of it on ``j`` it is
    ``-log CLAMP + weight * (1 - p(j)) * log CLAMP``. Beyond that the rows of a large class are pushed to the smallest.
    The weight is held at `SLACK` of this bound.

    Parameters
    ----------
    weight : float, at least 0
        lambda.
    prior : Tensor of shape (K,)
        ``p_data(y^)``, sums to 1.

    Returns
    -------
    scalar Tensor, at most ``weight``
    """
    return weight * (SLACK / (weight * (prior.max() - prior.min())).clamp_min(SLACK))


def main_loss(
    log_g: Tensor, resampled: Tensor, prior: Tensor, weight: Tensor | float, sample_weight: Tensor | None = None
) -> Tensor:
    """Loss of the main network on resampled labels.

    Eq. (8), Sec. 3.2: cross-entropy on ``y^`` plus ``weight`` (lambda) times Eq. (9).

    Parameters
    ----------
    log_g : Tensor of shape (B, K)
        Log-probabilities of g, float32.
    resampled : Tensor of shape (B,), int64
        ``y^_i``.
    prior : Tensor of shape (K,)
        ``p_data(y^)``.
    weight : scalar, at least 0
        lambda.
    sample_weight : Tensor of shape (B,), optional
        At least 0, of mean 1 over all rows.

    Returns
    -------
    scalar Tensor
    """
    return cross_entropy(log_g, resampled, sample_weight) + weight * confidence_regularizer(
        log_g.exp(), prior, sample_weight
    )


def cross_entropy(log_p: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Cross-entropy on hard labels: ``log_p`` (..., B, K), ``target`` (B,), ``sample_weight`` (..., B) or None.

    Leading axes of ``log_p`` are members that see the same rows, each with weights of its own. Returns a scalar.
    """
    if sample_weight is None and log_p.ndim == 2:
        return F.nll_loss(log_p, target)
    index = target.expand(log_p.shape[:-1])[..., None]
    return weighted_mean(-log_p.gather(-1, index).squeeze(-1), sample_weight)


def soft_target_cross_entropy(log_f: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """Cross-entropy against a label distribution.

    Eq. (13), Sec. 3.3: ``-mean_i sum_y q_i(y) log f(x_i)[y]``. Classes of ``q_i(y) = 0`` count as 0, also where f
    rules them out.

    Parameters
    ----------
    log_f : Tensor of shape (..., B, K)
        Log-probabilities of f; leading axes are members that see the same rows.
    target : Tensor of shape (B, K)
        ``q_i(y)``, Eq. (11); rows sum to 1.
    sample_weight : Tensor of shape (..., B), optional
        At least 0, of mean 1 over all rows.

    Returns
    -------
    scalar Tensor, at least 0
    """
    return cross_entropy_of_finite(log_f.masked_fill((target == 0) & log_f.isinf(), 0), target, sample_weight)


def cross_entropy_of_finite(log_f: Tensor, target: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """`soft_target_cross_entropy` of finite ``log_f``, as `Predicting.log_probs` makes them: each step needs one."""
    return weighted_mean(-(target * log_f).sum(-1), sample_weight)


def contrastive_loss(z1: Tensor, z2: Tensor, temperature: float = 0.05) -> Tensor:
    """NT-Xent loss of two views of a batch: the contrastive loss of Sec. 4.1.

    In SimCLR's form (Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020).
    For each of the 2B projections the other view of the same row is the positive, all others are negatives.

    Parameters
    ----------
    z1, z2 : Tensor of shape (B, d)
        Projections of the two views; normalised to unit length here.
    temperature : float, positive
        Divides the cosine similarities.

    Returns
    -------
    scalar Tensor, at least 0
    """
    z = F.normalize(torch.cat([z1, z2]).float(), dim=1)  # (2B, d)
    similarity = (z @ z.T) / temperature
    similarity = similarity.masked_fill(torch.eye(len(z), dtype=torch.bool, device=z.device), -torch.inf)
    n = len(z1)
    positive = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(similarity, positive)
