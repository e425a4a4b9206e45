"""How the flywheel turned: gamma, losses and, where the truth is known, the curves of Figure 5."""

from __future__ import annotations

from typing import Any

import pandas as pd

from noisyflywheel.plot.fitted import check_has
from noisyflywheel.plot.style import ACCENT, INK, MUTED, RIGHT, WRONG, axes_of, end_label, tidy

Curve = tuple[str, str, str]
PANELS: tuple[tuple[str, tuple[Curve, ...]], ...] = (
    ("Clean rate", (("gamma", "γ", INK), ("agreement", "f agrees", RIGHT))),
    ("Loss of g", (("main_loss", "main g", WRONG),)),
    ("Loss of f", (("auxiliary_loss", "auxiliary f", RIGHT),)),
    ("Clean selection, AUROC", (("selection_auroc", "AUROC", INK),)),
    (
        "Accuracy",
        (("refurbishment_accuracy", "refurbished", RIGHT), ("test_accuracy", "test", ACCENT)),
    ),
)
"""Title, and (column of the history, name, colour) of each curve; a panel without columns is left out. The confidence
regularizer takes g's loss far below 0, so f's has a panel of its own."""


class HistoryDisplay:
    """Curves over the cycles.

    Parameters
    ----------
    history : DataFrame
        One row per cycle, as `history_`. Besides `gamma`, `agreement`, `main_loss` and `auxiliary_loss`, the
        columns `selection_auroc`, `refurbishment_accuracy` and `test_accuracy` (Figure 5) are drawn if there.
    true_clean_rate : float, optional
        Share of right labels, drawn as a line beside gamma.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
    figure_ : matplotlib Figure
    """

    axes_: list[Any]
    figure_: Any

    def __init__(self, history: pd.DataFrame, *, true_clean_rate: float | None = None) -> None:
        self.history = history
        self.true_clean_rate = true_clean_rate

    @classmethod
    def from_estimator(cls, estimator: Any, *, true_clean_rate: float | None = None, ax: Any = None) -> HistoryDisplay:
        """Plot the history of a fitted estimator.

        Parameters
        ----------
        estimator : FlywheelClassifier
        true_clean_rate : float, optional
            Share of right labels where the truth is known.
        ax : sequence of matplotlib Axes, optional
            One per panel.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no history, as cross-validated audits.
        """
        check_has(estimator, cls.__name__, "history_")
        return cls(estimator.history_, true_clean_rate=true_clean_rate).plot(ax=ax)

    def plot(self, *, ax: Any = None) -> HistoryDisplay:
        """Draw one panel per group of columns that the history has.

        Parameters
        ----------
        ax : sequence of matplotlib Axes, optional
            One per panel; new ones if None.

        Raises
        ------
        ValueError
            If the history has none of the columns.
        """
        panels = [(title, self._present(curves)) for title, curves in PANELS]
        panels = [(title, curves) for title, curves in panels if curves]
        if not panels:
            raise ValueError("the history has none of the columns that this plot knows")
        self.axes_ = axes_of(ax, len(panels), (3.7 * len(panels), 3.1))
        self.figure_ = self.axes_[0].figure
        for axis, (title, curves) in zip(self.axes_, panels, strict=True):
            self._draw(axis, title, curves)
        return self

    def _present(self, curves: tuple[Curve, ...]) -> list[Curve]:
        """Curves with at least one value."""
        return [c for c in curves if c[0] in self.history and self.history[c[0]].notna().any()]

    def _draw(self, ax: Any, title: str, curves: list[Curve]) -> None:
        """One panel, each curve named at its end."""
        cycle = self.history["cycle"] if "cycle" in self.history else self.history.index.to_series() + 1
        ends: list[tuple[float, str, str]] = []
        for column, name, color in curves:
            values = self.history[column]
            dot = "o" if values.notna().sum() == 1 else None  # one cycle makes no line
            ax.plot(cycle, values, color=color, linewidth=1.8, solid_capstyle="round", marker=dot)
            ends.append((float(values.dropna().iloc[-1]), name, color))
        if self.true_clean_rate is not None and title == PANELS[0][0]:
            ax.axhline(self.true_clean_rate, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
            ends.append((self.true_clean_rate, "truth", MUTED))
        first, last = float(cycle.iloc[0]), float(cycle.iloc[-1])
        ax.set_xlim(first - 0.02 * (last - first) - 0.5, last + 0.38 * (last - first) + 0.5)
        for place, (_, name, color) in zip(_apart(ax, ends), sorted(ends), strict=True):
            end_label(ax, last, place, name, color)
        ax.set_xticks(_whole_cycles(first, last))
        ax.set_xlabel("cycle")
        tidy(ax, title)


def _whole_cycles(first: float, last: float) -> list[float]:
    """Ticks at whole numbers that were reached."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(5, integer=True, min_n_ticks=1).tick_values(first, last)
    return [tick for tick in ticks if first <= tick <= last]


def _apart(ax: Any, ends: list[tuple[float, str, str]]) -> list[float]:
    """Heights for the names of curves that end at `ends`, lowest first and at least a line apart."""
    low, high = ax.get_ylim()
    line = 0.085 * (high - low)
    places: list[float] = []
    for value, *_ in sorted(ends):
        places.append(max(value, places[-1] + line) if places else value)
    over = max(0.0, places[-1] - high)
    return [place - over for place in places]
