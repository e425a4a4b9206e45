"""What a fitted estimator answers, predictions and judgements of labels, and the arrays that it answers from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data import opened
from noisyflywheel.estimator.fitted.class_tables import class_summary
from noisyflywheel.estimator.fitted.issues import MostLikely, issues_of_classes, most_likely
from noisyflywheel.estimator.fitted.label_quality import calibrated
from noisyflywheel.estimator.inputs.rows import make_source, read_rows
from noisyflywheel.estimator.job.assemble import bf16_pays
from noisyflywheel.loop.closing import Closing
from noisyflywheel.loop.large import LARGE
from noisyflywheel.loop.loader import plain_parts
from noisyflywheel.nets import Trainer
from noisyflywheel.nets.devices import float32_on_cpu, net_device
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

    @float32_on_cpu()
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Class probabilities by the auxiliary network f alone (Sec. 4.1, Inference).

        Parameters
        ----------
        X : as in `fit`
            n rows with the features, or of the shape, that ``fit`` saw.

        Returns
        -------
        ndarray of shape (n, K), float64
            Columns in the order of ``classes_``; rows sum to 1.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError, ValueError
            For another kind of X, other features or another shape of rows than in ``fit``, and infinite values.
        """
        rows = self._rows_to_predict(X)
        return _filled(len(rows), self._proba_parts(rows))

    def predict_log_proba(self, X: Any) -> NDArray[np.float64]:
        """Natural logarithm of `predict_proba`, whose parameters and errors it has.

        Returns
        -------
        ndarray of shape (n, K), float64
            -inf where a probability is 0.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @float32_on_cpu()
    def predict(self, X: Any) -> NDArray[Any]:
        """Most likely class of each row; parameters and errors as of `predict_proba`.

        Returns
        -------
        ndarray of shape (n,)
            In the caller's label type.
        """
        best = [proba.argmax(axis=1) for proba in self._proba_parts(self._rows_to_predict(X))]
        return self.classes_[np.concatenate(best)]

    def get_label_issues(self) -> pd.DataFrame:
        """Verdict on each label of the training data.

        Returns
        -------
        DataFrame of n rows, with the index of the caller's X or y
            ``is_label_issue`` (bool; the rows of lowest quality, as many as ``1 - clean_proba_`` sums to),
            ``label_quality`` (in [0, 1], higher = more likely right), ``given_label``, ``predicted_label`` and
            ``predicted_confidence`` (f's most likely class and its probability), ``refurbished_label`` and
            ``refurbished_confidence`` (the same of ``refurbished_proba_``, which knows the given label).

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
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
            ``class_label``; ``n_given`` and ``n_suspected`` rows; ``noise_rate`` = P(label wrong | given class);
            ``inverse_noise_rate`` = P(other label given | true class); ``label_quality``, the mean over rows given the
            class; ``top_confusion``, the wrong label that the true class gets most often, and ``top_confusion_rate``.
            Rates are in [0, 1].

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        """
        issues = self.get_label_issues()
        clean_proba = pd.Series(self.clean_proba_, issues.index)
        return class_summary(issues, self.classes_, self.transition_matrix_, clean_proba)

    def _rows_to_predict(self, X: Any) -> Any:
        check_is_fitted(self)
        return read_rows(self, X, reset=False)

    def _proba_parts(self, rows: Tensor | Dataset) -> Iterator[NDArray[np.float64]]:
        """`proba_parts` by f, or by g where there is no f."""
        net = getattr(self, "aux_net_", self.main_net_)
        amp = self._amp and bf16_pays(net_device(net))  # the nets may have come from another machine
        return proba_parts(net, self.views_, amp, self._default_nets, rows)


def fitted_arrays(closing: Closing, sample_weight: NDArray[np.float64] | None = None) -> dict[str, Any]:
    """The end of the loop as arrays in host memory, by the names of the fitted attributes.

    Parameters
    ----------
    closing : Closing
        Of N rows.
    sample_weight : ndarray of shape (N,), optional
        Of the rows, see `calibrated`.

    Returns
    -------
    dict
        ``label_quality_``, ``clean_proba_`` (N,), ``refurbished_proba_`` (N, K), ``transition_matrix_``,
        ``corruption_matrix_`` (K, K), ``clean_rate_``; ``_predicted``, ``_confidence`` (N,) of f's last prediction.
    """
    quality = closing.quality.cpu().numpy()
    return {
        "label_quality_": quality,
        "clean_proba_": calibrated(quality, closing.posterior.cpu().numpy(), sample_weight),
        "refurbished_proba_": closing.refurbished.cpu().numpy(),
        "transition_matrix_": closing.transition.cpu().numpy(),
        "corruption_matrix_": closing.corruption.cpu().numpy(),
        "clean_rate_": closing.clean_rate,
        "_predicted": closing.predicted.cpu().numpy(),
        "_confidence": closing.confidence.cpu().double().numpy(),
    }


def proba_parts(
    net: Any, views: ViewAdapter, amp: bool, default_net: bool, rows: Tensor | Dataset
) -> Iterator[NDArray[np.float64]]:
    """Probabilities (b, K) of a fitted skorch net on rows as they are, in order; float64, rows sum to 1.

    One part as long as they are few: the device is waited for once. ``amp`` says whether forwards run in bf16;
    ``default_net`` whether the net's memory is known (`prediction_batch`).
    """
    trainer = Trainer(net, amp, scheduled=default_net)
    with opened(make_source(rows, trainer.device, worker_options(net=net))) as source:
        parts = plain_parts(trainer, source, views.plain)
        first = next(parts)
        if len(source) * first.shape[1] <= LARGE:
            parts = iter([torch.cat([first, *parts])])
        else:
            parts = itertools.chain([first], parts)
        for log_p in parts:
            yield probabilities(log_p).numpy()


def probabilities(log_p: Tensor) -> Tensor:
    """Log-probabilities (B, K) as float64 probabilities on the host; rows sum to 1."""
    proba = log_p.cpu().double().exp()
    return proba / proba.sum(1, keepdim=True)


def _filled(n_rows: int, parts: Iterator[NDArray[np.float64]]) -> NDArray[np.float64]:
    """All parts (b, K) in one array, none of them twice in memory."""
    proba, start = np.empty(0), 0
    for part in parts:
        if len(part) == n_rows:
            proba = part
            continue
        if start == 0:
            proba = np.empty((n_rows, part.shape[1]))
        proba[start : start + len(part)] = part
        start += len(part)
    return proba
