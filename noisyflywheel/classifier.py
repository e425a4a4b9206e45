"""FlywheelClassifier: the scikit-learn contract around the flywheel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from skorch import NeuralNet
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from noisyflywheel.audit.tables import class_summary, label_issues_frame
from noisyflywheel.compat import CallbackSupportMixin, with_callbacks
from noisyflywheel.fitting import fit_flywheel, predict_rows
from noisyflywheel.inputs import is_dataset, labels_of_dataset, read_labels, read_rows
from noisyflywheel.parameters import check_parameters


class FlywheelClassifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """DOC."""

    def __init__(
        self,
        main_net: NeuralNet | None = None,
        aux_net: NeuralNet | None = None,
        *,
        views: Any = "auto",
        n_warmup_epochs: int | str = "auto",
        n_cycles: int = 50,
        cycle_size: int | None = None,
        cr_weight: float = 3.0,
        cr_ramp: int | str = "auto",
        contrastive_weight: float = 0.025,
        mixup_alpha: float = 4.0,
        sharpen_temperature: float = 1.0,
        noise_model: str = "class",
        resample: str = "posterior",
        calibrate: bool | str = "auto",
        guard: bool = True,
        refurbish: bool = True,
        feature_layer: str = "auto",
        warm_start: bool = False,
        checkpoint_dir: Any = None,
        on_cycle: Callable[..., dict[str, float] | None] | None = None,
        device: str = "auto",
        verbose: int = 0,
        random_state: Any = None,
    ) -> None:
        self.main_net = main_net
        self.aux_net = aux_net
        self.views = views
        self.n_warmup_epochs = n_warmup_epochs
        self.n_cycles = n_cycles
        self.cycle_size = cycle_size
        self.cr_weight = cr_weight
        self.cr_ramp = cr_ramp
        self.contrastive_weight = contrastive_weight
        self.mixup_alpha = mixup_alpha
        self.sharpen_temperature = sharpen_temperature
        self.noise_model = noise_model
        self.resample = resample
        self.calibrate = calibrate
        self.guard = guard
        self.refurbish = refurbish
        self.feature_layer = feature_layer
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.on_cycle = on_cycle
        self.device = device
        self.verbose = verbose
        self.random_state = random_state

    @with_callbacks
    def fit(self, X: Any, y: ArrayLike | None = None) -> FlywheelClassifier:
        """Learn from noisy labels and judge each of them.

        Parameters
        ----------
        X : {array-like, DataFrame} of shape (n, d), images, Tensor or Dataset
            Rows (n, d); images (n, H, W), (n, H, W, C) or (n, C, H, W), uint8 or floating; a torch Tensor of
            these shapes; a torch ``Dataset`` or skorch ``SliceDataset`` whose items are ``(x, ...)`` or ``x``.
        y : array-like of shape (n,)
            The noisy labels, of any label type. May be None if X is a Dataset of ``(x, label)`` items.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For a wrong parameter, net, X or y, before any training.
        DivergenceError
            If a loss becomes NaN or infinite.
        KeyboardInterrupt
            On Ctrl-C. If at least one cycle was done, the estimator is fitted with what it had.
        """
        check_parameters(self.get_params(deep=False))
        if y is None and is_dataset(X):
            y = labels_of_dataset(X)
        rows = read_rows(self, X, reset=True) if y is not None else self._no_labels(X)
        labels, classes, codes = read_labels(X, y)
        index = next((data.index for data in (X, y) if isinstance(data, (pd.DataFrame, pd.Series))), None)
        fit_flywheel(self, rows, labels, classes, codes, X=X, y=y)
        self._given, self._index = labels, index
        return self

    def _no_labels(self, X: Any) -> Any:
        raise ValueError(
            f"{type(self).__name__} requires y to be passed, but the target y is None: labels are what it audits."
        )

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
        return predict_rows(self, read_rows(self, X, reset=False))

    def predict(self, X: Any) -> NDArray[Any]:
        """Class of each row, in the caller's label type: ndarray of shape (n,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

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
        return label_issues_frame(
            self._given,
            self.classes_,
            self.label_quality_,
            self.clean_proba_,
            self._train_proba,
            self.refurbished_proba_,
            self._index,
        )

    def get_class_summary(self) -> pd.DataFrame:
        """What happened to each class of the training data.

        Returns
        -------
        DataFrame of K rows, the worst noise rate first
            See `noisyflywheel.audit.tables.class_summary`.
        """
        return class_summary(self.get_label_issues(), self.classes_, self.transition_matrix_, self.clean_proba_)
