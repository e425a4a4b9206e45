"""From the final state of a flywheel to the fitted attributes of the estimator, and what it answers from those."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.estimator.inputs import make_source, read_rows
from noisyflywheel.estimator.issues import MostLikely, class_summary, issues_of_classes, most_likely
from noisyflywheel.estimator.label_quality import calibrated
from noisyflywheel.loop.closing import Closing
from noisyflywheel.loop.large import LARGE
from noisyflywheel.loop.loader import plain_parts
from noisyflywheel.nets import Trainer
from noisyflywheel.nets.workers import worker_options
from noisyflywheel.views.adapter import ViewAdapter


class FittedMixin:
    """What a fitted `FlywheelClassifier` answers: classes of rows, and judgements of the given labels."""

    main_net_: NeuralNet
    views_: ViewAdapter
    classes_: NDArray[Any]
    label_quality_: NDArray[np.float64]
    clean_proba_: NDArray[np.float64]
    refurbished_proba_: NDArray[np.float64]
    transition_matrix_: NDArray[np.float64]
    _given: NDArray[Any]
    _index: pd.Index | None
    _predicted: NDArray[np.int64]
    _confidence: NDArray[np.float64]
    _amp: bool
    _default_nets: bool

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Class probabilities by the auxiliary network f alone (Sec. 4.1, Inference).

        Parameters
        ----------
        X : as in `fit`

        Returns
        -------
        ndarray of shape (n, K), float64
            Columns in the order of ``classes_``; rows sum to 1.
        """
        check_is_fitted(self)
        net = getattr(self, "aux_net_", self.main_net_)
        return predict_rows(net, self.views_, self._amp, self._default_nets, read_rows(self, X, reset=False))

    def predict(self, X: Any) -> NDArray[Any]:
        """Class of each row, in the caller's label type: ndarray of shape (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def get_label_issues(self) -> pd.DataFrame:
        """Verdict on each label of the training data.

        Returns
        -------
        DataFrame of n rows, with the index of the caller's X or y
            ``is_label_issue`` (bool; as many as ``1 - clean_proba_`` sums to, the lowest qualities),
            ``label_quality`` (in [0, 1], higher = more likely right), ``given_label``, ``predicted_label`` and
            ``predicted_confidence`` (by f), ``refurbished_label`` and ``refurbished_confidence`` (Eq. 11).
        """
        check_is_fitted(self)
        return issues_of_classes(
            self._given,
            self.classes_,
            self.label_quality_,
            self.clean_proba_,
            MostLikely(self._predicted, self._confidence),
            most_likely(self.refurbished_proba_),
            self._index,
        )

    def get_class_summary(self) -> pd.DataFrame:
        """What happened to each class of the training data.

        Returns
        -------
        DataFrame of K rows, the worst noise rate first
            See `noisyflywheel.estimator.issues.class_summary`.
        """
        return class_summary(self.get_label_issues(), self.classes_, self.transition_matrix_, self.clean_proba_)


def fitted_arrays(closing: Closing) -> dict[str, Any]:
    """Fitted attributes of the rows and classes, by name.

    Returns
    -------
    dict
        ``label_quality_``, ``clean_proba_`` (N,), ``refurbished_proba_`` (N, K), ``transition_matrix_``,
        ``corruption_matrix_`` (K, K), ``clean_rate_``; ``_predicted``, ``_confidence`` (N,) of f's last prediction.
    """
    quality = closing.quality.cpu().numpy()
    return {
        "label_quality_": quality,
        "clean_proba_": calibrated(quality, closing.posterior.cpu().numpy()),
        "refurbished_proba_": closing.refurbished.cpu().numpy(),
        "transition_matrix_": closing.transition.cpu().numpy(),
        "corruption_matrix_": closing.corruption.cpu().numpy(),
        "clean_rate_": closing.clean_rate,
        "_predicted": closing.predicted.cpu().numpy(),
        "_confidence": closing.confidence.cpu().double().numpy(),
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
