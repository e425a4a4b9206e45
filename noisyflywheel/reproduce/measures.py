"""What Sec. 5 looks at after each cycle: test accuracy, clean selection, refurbishment, T_c and the truth."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from noisyflywheel.data import Source, channels_first, to_tensor
from noisyflywheel.em.counts import class_counts
from noisyflywheel.estimator.inputs.containers import is_dataset
from noisyflywheel.estimator.inputs.rows import make_source
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.loader import predict_plain
from noisyflywheel.noise import transition_matrix

Row = dict[str, float]
Matrix = NDArray[np.float64]
STEPS = ("main_e", "auxiliary_e", "auxiliary_m", "resample", "main_m")
"""The steps of Figure 2; a row of the history has ``<step>_seconds`` of each."""


class CycleMeasures:
    """Callback for ``FlywheelClassifier(on_cycle=...)`` that measures against true labels.

    It changes nothing in the training: no random number is drawn, and nothing that it learns is used.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Given labels, as ``fit`` gets them.
    y_true : ndarray of shape (n,), or None
        True labels; without them only test accuracy is measured.
    X_test, y_test : rows of shape (m, ...) or Dataset, ndarray of shape (m,)
        Test rows with true labels.
    sink : callable, optional
        Called with the whole row of the history and the flywheel after each cycle.

    Notes
    -----
    Columns, each in [0, 1] but for the seconds:

    - ``test_accuracy``, ``test_top5`` (of six classes or more): of f.
    - ``selection_auroc``: of q_i against whether label i is right (Figure 5, left); ``quality_auroc``: of the ranking
      score, the mean of g's and f's probability of the given label over the cycles so far.
    - ``refurbishment_accuracy``: share of resampled labels y^ that are right (Figure 5, right); ``f_train_accuracy``:
      of f's own guess on the training rows, as step 4 makes it.
    - ``corruption_error``: between T_c and the truth, see `matrix_error` (Figure 3).
    - ``largest_class``: share of the most frequent class among y^.
    - ``inference_seconds``: of f over all test rows (Table 7); ``cycle_seconds``: sum over the steps of Figure 2.
    """

    def __init__(
        self,
        y: NDArray[Any],
        y_true: NDArray[Any] | None,
        X_test: Any,
        y_test: NDArray[Any],
        sink: Callable[[Row, Flywheel], None] | None = None,
    ) -> None:
        self.classes = np.unique(y)
        self.y, self.y_true, self.X_test, self.y_test = y, y_true, X_test, y_test
        self.right = None if y_true is None else np.asarray(y) == np.asarray(y_true)
        self.sink = sink
        self._source: Source | None = None

    def __call__(self, flywheel: Flywheel, row: Row) -> Row:
        """Measure one cycle; returns the new columns."""
        start = time.perf_counter()
        seconds = {"cycle_seconds": sum(row.get(f"{step}_seconds", 0.0) for step in STEPS)}
        measured = seconds | self._test(flywheel) | self._train(flywheel)
        measured["measure_seconds"] = time.perf_counter() - start
        if self.sink is not None:
            self.sink(row | measured, flywheel)
        return measured

    def true_corruption(self) -> Matrix | None:
        """The true T_c (K, K), counted on wrong labels alone: rows = true class, columns = given class.

        Rows of a true class that nobody was given are left out; None if no wrong label remains.
        """
        if self.right is None or self.y_true is None:
            return None
        wrong = ~self.right & np.isin(self.y_true, self.classes)
        if not wrong.any():
            return None
        return transition_matrix(self.y_true[wrong], self.y[wrong], labels=list(self.classes))

    def _test(self, flywheel: Flywheel) -> Row:
        """Accuracy and seconds of f on the test rows."""
        if self._source is None:
            rows = self.X_test if is_dataset(self.X_test) else channels_first(to_tensor(self.X_test))
            self._source = make_source(rows, flywheel.loader.source.device)
        start = time.perf_counter()
        log_p = predict_plain(flywheel.aux, self._source, flywheel.loader.plain)
        best = log_p.topk(min(5, log_p.shape[1]), dim=1).indices.cpu().numpy()
        seconds = time.perf_counter() - start
        hit = self.classes[best] == self.y_test[:, None]
        measured = {"test_accuracy": float(hit[:, 0].mean()), "inference_seconds": seconds}
        return measured | ({"test_top5": float(hit.any(1).mean())} if log_p.shape[1] > 5 else {})

    def _train(self, flywheel: Flywheel) -> Row:
        """What is known about the training rows against the truth."""
        s = flywheel.state
        counts = class_counts(s.y_hat, s.n_classes)
        measured = {"largest_class": float(counts.max() / counts.sum())}
        if self.y_true is None or self.right is None:
            return measured
        measured["refurbishment_accuracy"] = self._accuracy(flywheel.of_caller(s.y_hat))
        measured["f_train_accuracy"] = self._accuracy(flywheel.of_caller(s.f_prob.argmax(1)))
        if 0 < self.right.mean() < 1:
            scores = {"selection_auroc": s.q, "quality_auroc": s.quality_sum / s.n_scored.clamp_min(1)}
            for name, score in scores.items():
                measured[name] = float(roc_auc_score(self.right, flywheel.of_caller(score).cpu().numpy()))
        truth = self.true_corruption()
        if truth is not None:
            measured["corruption_error"] = matrix_error(s.corruption.cpu().numpy(), truth)
        return measured

    def _accuracy(self, codes: Tensor) -> float:
        return float(np.mean(self.classes[codes.cpu().numpy()] == self.y_true))


def matrix_error(estimated: Matrix, truth: Matrix) -> float:
    """Mean total variation between the rows of two corruption matrices (K, K), apart from the diagonal.

    A label that is drawn anew can fall on the true class: T_c counts it, wrong labels alone cannot. The
    diagonals are left out, rows renormalised, and classes without wrong labels skipped.
    """
    total = []
    off = ~np.eye(len(truth), dtype=bool)
    for mine, true, keep in zip(estimated, truth, off, strict=True):
        if true[keep].sum() > 0 and mine[keep].sum() > 0:
            total.append(0.5 * np.abs(mine[keep] / mine[keep].sum() - true[keep] / true[keep].sum()).sum())
    return float(np.mean(total)) if total else float("nan")
