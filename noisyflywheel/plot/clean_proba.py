"""How sure the audit is of each label: the histogram of the clean probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from noisyflywheel.plot.fitted import check_has
from noisyflywheel.plot.style import INK, MUTED, RIGHT, WRONG, axes_of, tidy
from noisyflywheel.plot.truth import given_and_true


class CleanProbaDisplay:
    """Histogram of the probability that the given label is right, with gamma; split by the truth where known.

    Parameters
    ----------
    clean_proba : array-like of shape (n,)
        In [0, 1].
    clean_rate : float
        gamma, the estimated share of clean labels.
    is_right : array-like of bool of shape (n,), optional
        Whether the given label is the true class.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    ax_: Any
    figure_: Any

    def __init__(self, clean_proba: ArrayLike, clean_rate: float, *, is_right: ArrayLike | None = None) -> None:
        self.clean_proba = clean_proba
        self.clean_rate = clean_rate
        self.is_right = is_right

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, y_true: ArrayLike | None = None, ax: Any = None, bins: int | str | Sequence[float] = 40
    ) -> CleanProbaDisplay:
        """Plot the clean probabilities of a fitted estimator.

        Parameters
        ----------
        estimator : FlywheelClassifier or CrossValAudit
        y_true : array-like of shape (n,), optional
            True labels of the training rows; colours the bars by right and wrong labels.
        ax : matplotlib Axes, optional
        bins : int, str or sequence of float, default 40
            As in `plot`.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no `clean_proba_`.
        ValueError
            If y_true has another length or order than the labels, or holds none of the classes.
        """
        check_has(estimator, cls.__name__, "clean_proba_", "clean_rate_")
        is_right = None
        if y_true is not None:
            given, true = given_and_true(estimator, y_true)
            if not set(true.tolist()) & set(np.asarray(estimator.classes_).tolist()):
                raise ValueError(f"y_true holds none of the classes {np.asarray(estimator.classes_).tolist()[:5]}")
            is_right = given == true
        display = cls(estimator.clean_proba_, estimator.clean_rate_, is_right=is_right)
        return display.plot(ax=ax, bins=bins)

    def plot(self, *, ax: Any = None, bins: int | str | Sequence[float] = 40) -> CleanProbaDisplay:
        """Draw the histogram.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            New one if None.
        bins : int, str or sequence of float, default 40
            Number of equal bins from 0 to 1, a rule of `numpy.histogram_bin_edges` such as "auto", or edges.

        Raises
        ------
        ValueError
            If a probability is NaN or infinite, or `is_right` has another length than `clean_proba`.
        """
        p = np.asarray(self.clean_proba, dtype=float)
        if not np.isfinite(p).all():
            raise ValueError(f"clean_proba is {p[~np.isfinite(p)][0]} in row {np.flatnonzero(~np.isfinite(p))[0]}")
        right = None if self.is_right is None else np.asarray(self.is_right, dtype=bool)
        if right is not None and right.shape != p.shape:
            raise ValueError(f"is_right has shape {right.shape}, clean_proba {p.shape}")
        edges = np.histogram_bin_edges(p, bins, range=(0, 1))
        (self.ax_,) = axes_of(ax, 1, (6.4, 3.6))
        self.figure_ = self.ax_.figure
        if right is None:
            self.ax_.hist(p, edges, color=RIGHT, rwidth=0.9)
        else:
            self.ax_.hist([p[~right], p[right]], edges, stacked=True, rwidth=0.9, color=[WRONG, RIGHT])
            self._name_bars(int((~right).sum()), int(right.sum()))
        self._mark_gamma(p)
        return self

    def _name_bars(self, n_wrong: int, n_right: int) -> None:
        """Names of the two kinds of rows, each on its side, instead of a legend."""
        ax, style = self.ax_, {"transform": self.ax_.transAxes, "fontsize": 9, "va": "top"}
        ax.text(0.06, 0.96, f"label wrong: {n_wrong:,}", color=WRONG, ha="left", **style)
        ax.text(0.94, 0.96, f"label right: {n_right:,}", color=RIGHT, ha="right", **style)

    def _mark_gamma(self, p: np.ndarray) -> None:
        """Line at gamma, titles and limits."""
        ax = self.ax_
        ax.axvline(self.clean_rate, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        left = self.clean_rate > 0.5
        ax.annotate(
            f"γ = {self.clean_rate:.2f}",
            (self.clean_rate, 0.6),
            xycoords=("data", "axes fraction"),
            xytext=(-6 if left else 6, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            color=INK,
            fontsize=9,
        )
        ax.set(xlim=(-0.01, 1.01), xlabel="probability that the given label is right", ylabel="rows")
        tidy(ax, f"{int(np.rint((1 - p).sum())):,} of {p.size:,} labels are suspect")
        ax.spines["bottom"].set_color(MUTED)
