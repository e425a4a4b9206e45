"""Which class is given for which: the transition matrix as a heat map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noisyflywheel.noise import transition_matrix as measured_matrix
from noisyflywheel.plot.fitted import check_has
from noisyflywheel.plot.style import INK, axes_of, heat_map, plain_text, shorten, tidy
from noisyflywheel.plot.truth import given_and_true

LONGEST = 32
"""Letters of a class's name that are written."""


class TransitionMatrixDisplay:
    """Heat map of T, rows = true class, columns = given class; beside the truth where it is known.

    Parameters
    ----------
    transition_matrix : array-like of shape (K, K)
        Estimated T; rows sum to 1.
    class_labels : array-like of shape (K,)
    true_matrix : array-like of shape (K, K), optional
        T counted with the true labels.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
    figure_ : matplotlib Figure
    """

    axes_: list[Any]
    figure_: Any

    def __init__(
        self, transition_matrix: ArrayLike, class_labels: ArrayLike, *, true_matrix: ArrayLike | None = None
    ) -> None:
        self.transition_matrix = transition_matrix
        self.class_labels = class_labels
        self.true_matrix = true_matrix

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, y_true: ArrayLike | None = None, ax: Any = None
    ) -> TransitionMatrixDisplay:
        """Plot the T of a fitted estimator.

        Parameters
        ----------
        estimator : FlywheelClassifier or CrossValAudit
        y_true : array-like of shape (n,), optional
            True labels of the training rows; adds a second heat map with the truth.
        ax : matplotlib Axes or two of them, optional

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it estimates no T.
        ValueError
            If y_true has a missing label, or another length or order than the labels.
        """
        check_has(estimator, cls.__name__, "transition_matrix_", "classes_")
        true_matrix = None
        if y_true is not None:
            given, true = given_and_true(estimator, y_true)
            true_matrix = measured_matrix(true, given, labels=list(estimator.classes_))
        return cls(estimator.transition_matrix_, estimator.classes_, true_matrix=true_matrix).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> TransitionMatrixDisplay:
        """Draw one heat map, or two side by side with the truth.

        Parameters
        ----------
        ax : matplotlib Axes or two of them, optional
            New ones if None.
        """
        panels = [("Estimated P(given | true), %", np.asarray(self.transition_matrix, dtype=float))]
        if self.true_matrix is not None:
            panels.append(("Truth, %", np.asarray(self.true_matrix, dtype=float)))
        labels = [shorten(label, LONGEST) for label in np.asarray(self.class_labels)]
        room = 0.06 * max(len(label) - 4 for label in labels)  # inches for names beside and below the cells
        side = min(9.0, max(3.6, 0.48 * len(labels) + 1.4)) + max(0.0, room)
        self.axes_ = axes_of(ax, len(panels), (side * len(panels), side * 0.98))
        self.figure_ = self.axes_[0].figure
        for axis, (title, matrix) in zip(self.axes_, panels, strict=True):
            _heat(axis, matrix, labels)
            tidy(axis, title, grid=None)
        self.axes_[0].set_ylabel("true class")
        return self


def _heat(ax: Any, matrix: np.ndarray, labels: list[str]) -> None:
    """One heat map; the root of the rate is coloured, so that small confusions show."""
    from matplotlib.colors import PowerNorm

    n = len(labels)
    ax.imshow(matrix, cmap=heat_map(), norm=PowerNorm(0.5, 0, 1), aspect="equal")
    step = max(1, int(np.ceil(n / 40)))
    ticks = np.arange(0, n, step)
    long = max(len(label) for label in labels) > 2
    names = [plain_text(labels[i]) for i in ticks]
    ax.set_xticks(ticks, names, rotation=45 if long else 0, ha="right" if long else "center")
    ax.set_yticks(ticks, names)
    ax.set_xlabel("given class")
    ax.set_xticks(np.arange(n - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(n - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1.5 if n <= 20 else 0.3)
    ax.tick_params(which="minor", length=0)
    if n <= 16:
        _write_rates(ax, matrix)


def _write_rates(ax: Any, matrix: np.ndarray) -> None:
    """Rates in per cent in the cells; those below half a per cent are left out."""
    for (row, column), rate in np.ndenumerate(matrix):
        if rate >= 0.005:
            color = "white" if rate > 0.25 else INK
            ax.text(column, row, f"{100 * rate:.0f}", ha="center", va="center", color=color, fontsize=8)
