"""Figures 3, 4 and 5 of the paper from a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.manifold import TSNE

from noisyflywheel.data import channels_first, to_tensor
from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.estimator.inputs.containers import is_dataset
from noisyflywheel.estimator.inputs.rows import make_source
from noisyflywheel.nets.features import Features
from noisyflywheel.plot.style import INK, MUTED, RIGHT, heat_map, tidy
from noisyflywheel.reproduce.benchmarks import Benchmark

CLASS_COLORS = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee",
    "#aa3377", "#888888", "#ee7733", "#332288", "#44aa99",
)  # fmt: skip


def new_figure(width: float, height: float, **grid: Any) -> tuple[Any, NDArray[Any]]:
    """A figure without a window, and its axes (rows, columns)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(squeeze=False, **grid)


def save(figure: Any, path: Path) -> Path:
    """Write a PNG and return its path."""
    figure.savefig(path, dpi=150, metadata={"Software": None})
    return path


def corruption(record: dict[str, Any], class_names: tuple[str, ...] = ()) -> Any:
    """Figure 3: T_c, the truth above the estimate, true classes as columns as in the paper.

    Parameters
    ----------
    record : dict
        Of `reproduce`; its matrices have rows = true class and are transposed here.
    class_names : tuple of K str, optional
    """
    matrices = record["matrices"]
    panels = [("Estimated", matrices["T_c"])]
    panels[:0] = [("Ground truth", matrices["true_T_c"])] if "true_T_c" in matrices else []
    k = len(matrices["classes"])
    names = _names(matrices["classes"], class_names)
    side = min(7.0, max(2.8, 0.32 * k))
    figure, axes = new_figure(side + 1.9, (side + 1.1) * len(panels), nrows=len(panels))
    for axis, (title, matrix) in zip(axes[:, 0], panels, strict=True):
        shown = axis.imshow(np.asarray(matrix, dtype=float).T, cmap=heat_map(), vmin=0, vmax=0.9)
        step = max(1, -(-k // 25))
        axis.set_xticks(range(0, k, step), names[::step], rotation=90)
        axis.set_yticks(range(0, k, step), names[::step])
        axis.set_ylabel("given class")
        tidy(axis, f"{title} $T_c$", grid=None)
    axes[-1, 0].set_xlabel("true (source) class: each column sums to 1")
    bar = figure.colorbar(shown, ax=axes[:, 0].tolist(), shrink=0.5, aspect=30)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, length=0, labelsize=8)
    return figure


def _names(classes: list[str], class_names: tuple[str, ...]) -> list[str]:
    """Names of classes that are numbers, where there are names."""
    return [class_names[int(c)] if c.isdecimal() and int(c) < len(class_names) else c for c in classes]


def curves(record: dict[str, Any]) -> Any:
    """Figure 5: clean selection and refurbishment over epochs; None where the truth is unknown."""
    frame = pd.DataFrame(record["cycles"])
    panels = [
        ("Clean selection, AUROC of q", "selection_auroc"),
        ("Refurbished labels that are right", "refurbishment_accuracy"),
    ]
    panels = [(title, column) for title, column in panels if column in frame]
    if not panels:
        return None
    epoch = frame["cycle"] + int(record["parameters"]["n_warmup_epochs"])
    figure, axes = new_figure(4.4 * len(panels), 3.3, ncols=len(panels))
    for axis, (title, column) in zip(axes[0], panels, strict=True):
        mark = "." if len(frame) < 8 else ""
        axis.plot(epoch, frame[column].astype(float), color=RIGHT, linewidth=1.8, marker=mark)
        if column == "refurbishment_accuracy":
            level = record["data"]["true_clean_rate"]
            axis.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
            axis.annotate("given labels", (float(epoch.iloc[0]), level), va="bottom", color=MUTED, fontsize=8)
        axis.set_xlabel("epoch, warm-up included")
        axis.locator_params(axis="x", integer=True)
        tidy(axis, title)
    return figure


def tsne(classifier: FlywheelClassifier, benchmark: Benchmark, n_rows: int) -> Any:
    """Figure 4: t-SNE of f's features of test pictures, coloured by their true class."""
    features, y = test_features(classifier, benchmark, n_rows)
    if len(y) < 10:
        return None
    perplexity = min(30.0, (len(y) - 1) / 3)
    at = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)
    figure, axes = new_figure(6.2, 5.4)
    axis = axes[0, 0]
    for i, label in enumerate(np.unique(y)):
        rows, color = y == label, CLASS_COLORS[i % len(CLASS_COLORS)]
        axis.scatter(*at[rows].T, s=5, color=color, linewidths=0, alpha=0.75)
        if len(np.unique(y)) <= 20:
            name = benchmark.class_names[label] if label < len(benchmark.class_names) else str(label)
            box = {"facecolor": "white", "edgecolor": color, "alpha": 0.85, "boxstyle": "round,pad=0.2"}
            x, y_at = np.median(at[rows], axis=0)
            axis.text(x, y_at, name, fontsize=8, color=INK, ha="center", va="center", bbox=box)
    axis.set_xticks([])
    axis.set_yticks([])
    tidy(axis, f"Features of {len(y):,} test pictures, t-SNE", grid=None)
    return figure


@torch.inference_mode()
def test_features(
    classifier: FlywheelClassifier, benchmark: Benchmark, n_rows: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (m, d) of f on at most ``n_rows`` test rows, evenly spaced, and their classes (m,)."""
    net = classifier.aux_net_ if hasattr(classifier, "aux_net_") else classifier.main_net_
    rows = benchmark.X_test if is_dataset(benchmark.X_test) else channels_first(to_tensor(benchmark.X_test))
    source = make_source(rows, torch.device(net.device))
    index = torch.linspace(0, len(source) - 1, min(n_rows, len(source))).long()
    net.module_.eval()
    read = Features(net.module_, classifier.feature_layer)
    parts = [read(classifier.views_.plain(source.take(part))).cpu() for part in index.split(512)]
    return torch.cat(parts).numpy(), benchmark.y_test[index.numpy()]
