"""One look for all plots: colours that colour-blind readers can tell apart, few lines, quiet axes."""

from __future__ import annotations

from typing import Any

import numpy as np

INK = "#22303c"
MUTED = "#6b7a88"
GRID = "#e4e9ee"
RIGHT = "#2a7f9e"
WRONG = "#d1495b"
ACCENT = "#edae49"
HEAT = ("#f7fafc", "#d3e5ee", "#8fbfd3", "#3f8fb0", "#1d5f80", "#0d3349")


def heat_map() -> Any:
    """Sequential colour map from almost white to deep blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("flywheel", list(HEAT))


def axes_of(ax: Any, n: int, size: tuple[float, float]) -> list[Any]:
    """The caller's axes as a list of n, or n new ones side by side in one figure of `size` inches.

    Raises
    ------
    ValueError
        If the caller gave another number of axes.
    """
    import matplotlib.pyplot as plt

    if ax is None:
        return list(plt.subplots(1, n, figsize=size, layout="constrained", squeeze=False)[1][0])
    given = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(given) != n:
        raise ValueError(f"this plot needs {n} axes, got {len(given)}")
    return given


def tidy(ax: Any, title: str, *, grid: str | None = "y") -> None:
    """Title on the left, no box, thin grid behind the marks."""
    ax.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=10)
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(side == "bottom" and grid is not None)
        ax.spines[side].set_color(MUTED)
    ax.tick_params(colors=MUTED, labelcolor=INK, length=0, labelsize=9)
    ax.xaxis.label.set(color=MUTED, fontsize=9)
    ax.yaxis.label.set(color=MUTED, fontsize=9)
    if grid:
        ax.grid(axis=grid, color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)


def plain_text(label: Any) -> str:
    """A label as text that matplotlib writes as it is, dollar signs too."""
    return str(label).replace("$", r"\$")


def shorten(label: Any, most: int = 16) -> str:
    """Label as text, with an ellipsis when it is long."""
    text = str(label)
    return text if len(text) <= most else text[: most - 1] + "…"


def end_label(ax: Any, x: float, y: float, text: str, color: str) -> None:
    """Name of a curve beside its last point, instead of a legend."""
    ax.annotate(
        text,
        (x, y),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=color,
        fontsize=9,
        annotation_clip=False,
    )
