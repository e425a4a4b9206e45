"""The worst labels at a glance: a sheet of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import _num_samples

from noisyflywheel.data.pictures import as_pictures
from noisyflywheel.estimator.inputs.labels import check_judged_order
from noisyflywheel.plot.fitted import check_has
from noisyflywheel.plot.style import INK, MUTED, RIGHT, WRONG, plain_text, shorten


class LabelIssuesDisplay:
    """Sheet of pictures with given → suggested label, the lowest quality first.

    Parameters
    ----------
    pictures : sequence of uint8 arrays of shape (H, W, 3)
    issues : DataFrame
        Rows of the label-issues table that belong to the pictures, in the same order.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
    figure_ : matplotlib Figure
    """

    axes_: list[Any]
    figure_: Any

    def __init__(self, pictures: Sequence[Any], issues: pd.DataFrame) -> None:
        self.pictures = pictures
        self.issues = issues

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_worst: int = 20,
        image_shape: tuple[int, ...] | None = None,
        columns: int = 5,
    ) -> LabelIssuesDisplay:
        """Plot the rows of lowest label quality.

        Parameters
        ----------
        estimator : FlywheelClassifier or CrossValAudit
            Fitted on X.
        X : images, vectors or paths of n rows
            See `noisyflywheel.data.pictures.as_pictures`.
        n_worst : int, default 20
            Number of pictures, fewer where there are fewer rows.
        image_shape : tuple, optional
            Shape of one row when X holds vectors.
        columns : int, default 5

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no table of issues.
        ValueError
            If X has another number of rows than the audit, or another order, or `n_worst` is below 0.
        """
        if n_worst < 0:
            raise ValueError(f"n_worst must be at least 0, got {n_worst}")
        check_has(estimator, cls.__name__, "get_label_issues")
        issues = estimator.get_label_issues()
        if (n_rows := _num_samples(X)) != len(issues):
            raise ValueError(f"X has {n_rows} rows, the audit has {len(issues)}")
        check_judged_order(issues.index, "estimator", X=X)
        worst = np.argsort(issues["label_quality"].to_numpy(), kind="stable")[:n_worst]
        return cls(as_pictures(X, list(worst), image_shape), issues.iloc[worst]).plot(columns=columns)

    def plot(self, *, columns: int = 5, title: str = "Labels least likely to be right") -> LabelIssuesDisplay:
        """Draw the sheet in a new figure.

        Parameters
        ----------
        columns : int, default 5
            Pictures in a row.
        title : str
        """
        import matplotlib.pyplot as plt

        columns = max(1, min(columns, len(self.pictures)))
        rows = max(1, -(-len(self.pictures) // columns))
        names = self.issues[["given_label", "refurbished_label"]].astype(str)
        inline = bool((names.map(len) <= 4).all(axis=None))
        size = (1.7 * columns, (1.95 if inline else 2.15) * rows + 0.45)
        self.figure_, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
        below = 0.36 if inline else 0.56
        self.figure_.subplots_adjust(
            left=0.02,
            right=0.98,
            bottom=below / size[1],
            top=1 - 0.45 / size[1],
            wspace=0.08,
            hspace=below / 1.5,
        )
        self.figure_.suptitle(
            title, x=0.02, y=1 - 0.1 / size[1], ha="left", va="top", fontsize=12, fontweight="bold", color=INK
        )
        self.axes_ = list(grid.ravel())
        for ax in self.axes_:
            ax.set_axis_off()
        for ax, picture, row in zip(self.axes_, self.pictures, self.issues.itertuples(), strict=False):
            _card(ax, picture, row, inline)
        return self


def _quality(value: float) -> str:
    """Quality in words of at most two digits after the point."""
    return "quality < 0.01" if value < 0.01 else f"quality {value:.2f}"


def _names(given: Any, suggested: Any) -> tuple[str, str]:
    """Both labels as short texts; of long ones that begin alike the ends."""
    names = shorten(given), shorten(suggested)
    if names[0] == names[1] and str(given) != str(suggested):
        return f"…{str(given)[-15:]}", f"…{str(suggested)[-15:]}"
    return names


def _card(ax: Any, picture: Any, row: Any, inline: bool) -> None:
    """One picture; below it given → suggested label on one line or two, and the quality."""
    smooth = "nearest" if max(picture.shape[:2]) < 64 else "antialiased"
    ax.imshow(picture, interpolation=smooth, aspect="equal")
    given, suggested = _names(row.given_label, row.refurbished_label)
    changed = row.given_label != row.refurbished_label
    pieces = [(0.5, 0, "center", given, INK, "normal")]
    if changed and inline:
        pieces = [
            (0.42, 0, "right", given, WRONG, "normal"),
            (0.50, 0, "center", "→", MUTED, "normal"),
            (0.58, 0, "left", suggested, RIGHT, "bold"),
        ]
    elif changed:
        pieces = [
            (0.5, 0, "center", given, WRONG, "normal"),
            (0.5, 1, "center", f"→ {suggested}", RIGHT, "bold"),
        ]
    pieces.append((0.5, 1 if inline else 2, "center", _quality(row.label_quality), MUTED, "light"))
    for x, line, align, text, color, weight in pieces:
        size = 7 if color == MUTED and text != "→" else 9
        offset = {"xytext": (0, -4 - 12 * line), "textcoords": "offset points"}
        style = {"ha": align, "va": "top", "color": color, "fontweight": weight, "fontsize": size}
        ax.annotate(plain_text(text), (x, 0), xycoords="axes fraction", **offset, **style)
