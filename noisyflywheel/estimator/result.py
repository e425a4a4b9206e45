"""From the final state of a flywheel to the fitted attributes of the estimator, and predictions from those."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel import em
from noisyflywheel.estimator.inputs import make_source
from noisyflywheel.estimator.label_quality import BAYES_SHARE, bayes_posterior, calibrated, mean_posterior
from noisyflywheel.loop.loader import predict_plain
from noisyflywheel.loop.state import FlywheelState
from noisyflywheel.nets import Trainer
from noisyflywheel.views.adapter import ViewAdapter


def fitted_arrays(state: FlywheelState, sample_weight: Tensor | None = None) -> dict[str, Any]:
    """Fitted attributes of the rows and classes, by name, from the state after the closing E-step.

    Parameters
    ----------
    state : FlywheelState
        Of N rows and K classes.
    sample_weight : Tensor of shape (N,), optional
        Weighs the rows in both matrices.

    Returns
    -------
    dict
        ``label_quality_``, ``clean_proba_`` (N,), ``refurbished_proba_`` (N, K), ``transition_matrix_``,
        ``corruption_matrix_`` (K, K), ``clean_rate_``, and ``_train_proba`` (N, K), the last prediction of f.
    """
    s = state
    refurbished = em.refurbish(s.q, s.given, s.f_prob.double())
    refurbished /= refurbished.sum(1, keepdim=True)
    weights = torch.ones_like(s.q) if sample_weight is None else sample_weight
    T = em.transition_matrix(refurbished * weights[:, None], s.given)
    T_c = em.corruption_matrix(s.q, s.f_prob * weights[:, None].to(s.f_prob.dtype), s.given)
    quality = (s.quality_sum / s.n_scored.clamp_min(1)).clamp(0, 1).cpu().numpy()
    posterior = clean_posterior(s, refurbished, T)
    return {
        "label_quality_": quality,
        "clean_proba_": calibrated(quality, posterior.cpu().numpy()),
        "refurbished_proba_": refurbished.cpu().numpy(),
        "transition_matrix_": T.cpu().numpy(),
        "corruption_matrix_": T_c.cpu().numpy(),
        "clean_rate_": float(s.gamma),
        "_train_proba": s.f_prob.cpu().numpy(),
    }


def clean_posterior(state: FlywheelState, refurbished: Tensor, T: Tensor) -> Tensor:
    """Probability that each given label is the true class, before it is made to rank as the label quality: (N,).

    Eq. (11) at the given label over the later cycles, and Bayes' rule with f and T.
    """
    s = state
    last = refurbished.gather(1, s.given[:, None]).squeeze(1)
    late = s.n_late.clamp_min(1)
    posterior = torch.where(s.n_late > 0, mean_posterior(s.q_sum / late, s.f_given_sum / late), last)
    return torch.lerp(posterior, bayes_posterior(s.f_prob.double(), T, s.given), BAYES_SHARE)


def predict_rows(
    net: Any, views: ViewAdapter, amp: bool, default_net: bool, rows: Tensor | Dataset
) -> NDArray[np.float64]:
    """Probabilities (n, K) of a fitted skorch net on rows as they are; float64, rows sum to 1.

    ``amp`` says whether its forwards run in bf16; ``default_net`` whether its memory is known (`prediction_batch`).
    """
    trainer = Trainer(net, amp, scheduled=default_net)
    log_p = predict_plain(trainer, make_source(rows, trainer.device), views.plain)
    proba = log_p.cpu().double().exp()
    return (proba / proba.sum(1, keepdim=True)).numpy()
