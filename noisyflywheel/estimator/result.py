"""From the final state of a flywheel to the fitted attributes of the estimator, and predictions from those."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.estimator.inputs import make_source
from noisyflywheel.estimator.label_quality import calibrated
from noisyflywheel.loop.closing import Closing
from noisyflywheel.loop.large import LARGE
from noisyflywheel.loop.loader import plain_parts
from noisyflywheel.nets import Trainer
from noisyflywheel.nets.workers import worker_options
from noisyflywheel.views.adapter import ViewAdapter


def fitted_arrays(closing: Closing) -> dict[str, Any]:
    """Fitted attributes of the rows and classes, by name.

    Returns
    -------
    dict
        ``label_quality_``, ``clean_proba_`` (N,), ``refurbished_proba_`` (N, K), ``transition_matrix_``,
        ``corruption_matrix_`` (K, K), ``clean_rate_``, and ``_train_proba`` (N, K), the last prediction of f.
    """
    quality = closing.quality.cpu().numpy()
    return {
        "label_quality_": quality,
        "clean_proba_": calibrated(quality, closing.posterior.cpu().numpy()),
        "refurbished_proba_": closing.refurbished.cpu().numpy(),
        "transition_matrix_": closing.transition.cpu().numpy(),
        "corruption_matrix_": closing.corruption.cpu().numpy(),
        "clean_rate_": closing.clean_rate,
        "_train_proba": closing.f_prob.cpu().numpy(),
    }


def predict_rows(
    net: Any, views: ViewAdapter, amp: bool, default_net: bool, rows: Tensor | Dataset
) -> NDArray[np.float64]:
    """Probabilities (n, K) of a fitted skorch net on rows as they are; float64, rows sum to 1.

    ``amp`` says whether its forwards run in bf16; ``default_net`` whether its memory is known (`prediction_batch`).
    """
    trainer = Trainer(net, amp, scheduled=default_net)
    with closing(make_source(rows, trainer.device, worker_options(net=net))) as source:
        parts = plain_parts(trainer, source, views.plain)
        first = next(parts)
        if len(source) * first.shape[1] > LARGE:
            return _filled(len(source), itertools.chain([first], parts))
        log_p = torch.cat([first, *parts])
    return probabilities(log_p).numpy()


def probabilities(log_p: Tensor) -> Tensor:
    """Log-probabilities (B, K) as float64 probabilities on the host; rows sum to 1."""
    proba = log_p.cpu().double().exp()
    return proba / proba.sum(1, keepdim=True)


def _filled(n_rows: int, parts: Iterable[Tensor]) -> NDArray[np.float64]:
    """`probabilities` of all parts, without any of them twice in memory."""
    proba, start = np.empty(0), 0
    for log_p in parts:
        if start == 0:
            proba = np.empty((n_rows, log_p.shape[1]))
        proba[start : start + len(log_p)] = probabilities(log_p)
        start += len(log_p)
    return proba
