"""EM of the main network g: its E-step (Eqs. 4 and 6) and its M-step (Eqs. 7 to 9), on tensors and one net."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from noisyflywheel import em
from noisyflywheel.em.counts import class_counts
from noisyflywheel.em.losses import confidence_regularizer, limited_weight, main_loss
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.loop.steps import Loss, weak_batches
from noisyflywheel.nets.trainer import Trainer

OVERCONFIDENT = 0.08
"""Above this `overconfidence` "auto" calibrates g: nets that fit their rows end below .05, those that underfit reach
.12."""

F_SHARE = 0.5
"""Share of f in the ranking score: both nets together rank wrong labels better than g with a tenth of f does, but for
some errors of people (docs/experiments_one_net.md, "One net: the ranking score")."""


class CleanPosterior(NamedTuple):
    """What g's E-step finds."""

    q: Tensor
    """Clean probabilities, Eq. (4): (B,), float64."""
    gamma: Tensor
    """Proportion of clean labels, Eq. (6): scalar, float64."""
    temperature: float
    """Of g; 1 where it was not calibrated."""


def e_step(
    log_g: Tensor,
    f_prob: Tensor,
    given: Tensor,
    gamma: Tensor,
    eps: Tensor,
    *,
    hold_gamma: bool = False,
    calibrate: bool = False,
    sample_weight: Tensor | None = None,
) -> CleanPosterior:
    """Which labels are clean (Eq. 4), and how many (Eq. 6).

    Parameters
    ----------
    log_g : Tensor of shape (B, K)
        Log-probabilities of g on the rows as they are.
    f_prob : Tensor of shape (B, K)
        The last prediction of f.
    given : Tensor of shape (B,), int64
        Given labels.
    gamma : scalar Tensor
        The last gamma.
    eps : Tensor of shape (B,), float64
        ``p(y~_i | x_i, s_i = 0)``, Eq. (14).
    hold_gamma, calibrate : bool
        Either takes the gamma of Eq. (4) from f's agreement with the given labels; ``calibrate`` also gives g the
        temperature of `em.calibrate`.
    sample_weight : Tensor of shape (B,), optional
        At least 0, of mean about 1.
    """
    if hold_gamma or calibrate:
        gamma = em.main.clip_clean_rate(em.agreement(f_prob, given, sample_weight))
    temperature = em.calibrate(log_g, given, gamma, eps, sample_weight) if calibrate else 1.0
    g_given = em.tempered_given(log_g, given, temperature).double()
    q = em.clean_posterior(g_given, gamma, eps)
    return CleanPosterior(q, em.update_clean_rate(q, sample_weight), temperature)


def ranking_score(log_g: Tensor, f_prob: Tensor, given: Tensor) -> Tensor:
    """What a cycle adds to the label quality: the mean of g's and f's probability of the given label.

    ``log_g`` and ``f_prob`` have shape (B, K), ``given`` (B,); returns (B,), float64, in [0, 1].
    """
    index = given[:, None]
    g_given = log_g.gather(1, index).squeeze(1).double().exp()
    return torch.lerp(g_given, f_prob.gather(1, index).squeeze(1).double(), F_SHARE)


def is_overconfident(log_g: Tensor, f_prob: Tensor) -> bool:
    """Whether g is surer of its classes than its agreement with f warrants: arrays of shape (B, K)."""
    return em.overconfidence(log_g, f_prob) > OVERCONFIDENT


def class_prior(labels: Tensor, n_classes: int, sample_weight: Tensor | None = None) -> Tensor:
    """``p_data(y^)`` of Eq. (9): shares of the classes among ``labels`` (B,), one row added to each: (K,), float32."""
    counts = class_counts(labels, n_classes, sample_weight).float()
    return (counts + 1) / (counts + 1).sum()


class Regularizer(NamedTuple):
    """The confidence regularizer of one M-step."""

    prior: Tensor
    """``p_data(y^)``: (K,)."""
    weight: Tensor
    """lambda: scalar."""


def regularizer(
    labels: Tensor, n_classes: int, cr_weight: float, limit: bool, sample_weight: Tensor | None = None
) -> Regularizer:
    """Prior and lambda for the ``labels`` (B,) of a cycle; ``limit`` lowers lambda as `limited_weight` does."""
    prior = class_prior(labels, n_classes, sample_weight)
    return Regularizer(prior, limited_weight(cr_weight, prior) if limit else torch.as_tensor(cr_weight))


def m_step(
    trainer: Trainer,
    loader: ViewLoader,
    rows: Tensor,
    given: Tensor,
    y_hat: Tensor,
    regularizer: Regularizer,
    sample_weight: Tensor | None = None,
) -> float:
    """Train g on the resampled labels with the confidence regularizer (Eq. 8); returns the mean loss.

    Parameters
    ----------
    trainer : Trainer
        g.
    loader : ViewLoader
        Weak views.
    rows : Tensor of shape (B,), int64
        The rows of this cycle.
    given, y_hat : Tensor of shape (N,), int64
        Given and resampled labels of all rows.
    regularizer : Regularizer
        Of `regularizer`.
    sample_weight : Tensor of shape (N,), or (M, N) for each member, optional
        At least 0, of mean 1.
    """
    prior, lam = regularizer

    def loss_of(index: Tensor, w: Tensor | None) -> Loss:
        return partial(main_loss, resampled=y_hat[index], prior=prior, weight=lam, sample_weight=w)

    return trainer.epoch(weak_batches(trainer, loader, rows, given, loss_of, sample_weight))


def m_step_without_auxiliary(
    trainer: Trainer,
    loader: ViewLoader,
    rows: Tensor,
    given: Tensor,
    q: Tensor,
    regularizer: Regularizer,
    sample_weight: Tensor | None = None,
) -> float:
    """Train g on the given labels weighted by q, with the confidence regularizer (Eq. 7, ablation of Table 6).

    ``q`` has shape (N,); all else as in `m_step`.
    """
    prior, lam = regularizer

    def loss_of(index: Tensor, w: Tensor | None) -> Loss:
        labels, clean = given[index], q[index].float()

        def loss(log_g: Tensor) -> Tensor:
            reweighted = em.reweighted_cross_entropy(log_g, labels, clean if w is None else clean * w)
            return reweighted + lam * confidence_regularizer(log_g.exp(), prior, w)

        return loss

    return trainer.epoch(weak_batches(trainer, loader, rows, given, loss_of, sample_weight))
