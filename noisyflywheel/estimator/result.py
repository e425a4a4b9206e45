"""From the final state of a flywheel to the fitted attributes of the estimator, and predictions from those."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.estimator.inputs import make_source
from noisyflywheel.estimator.label_quality import calibrated
from noisyflywheel.loop.closing import Closing
from noisyflywheel.loop.loader import predict_plain
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
        log_p = predict_plain(trainer, source, views.plain)
    proba = log_p.cpu().double().exp()
    return (proba / proba.sum(1, keepdim=True)).numpy()
