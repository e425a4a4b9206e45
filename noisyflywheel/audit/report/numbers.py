"""The numbers, tables and charts of a report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from noisyflywheel.audit.rows.identity import label_text
from noisyflywheel.audit.rows.truth import suspect_mask
from noisyflywheel.audit.scores.estimates import estimate_wrong_labels, expected_gain, rows_to_reach
from noisyflywheel.estimator.fitted.class_tables import class_summary, overlapping_classes
from noisyflywheel.noise import transition_matrix

N_BINS = 20
MAX_HEAT = 60
FIRST = 100
"""Rows whose review is priced."""


def percent(rate: float) -> str:
    """Share as text: whole, but with a tenth below ten per cent and close to all."""
    if rate is None or np.isnan(rate):
        return "–"
    value = 100 * float(rate)
    if 99.5 <= value < 100:
        return f"{np.floor(10 * value) / 10:.1f} %"
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


def report_numbers(audit: Any, issues: pd.DataFrame) -> dict[str, Any]:
    """Numbers, tables and charts of the page."""
    if isinstance(audit, pd.DataFrame):
        classes = np.unique(issues[["given_label", "refurbished_label"]].to_numpy().ravel())
        T = transition_matrix(issues["refurbished_label"], issues["given_label"], labels=list(classes))
        unseen = ~pd.Index(classes).isin(issues["refurbished_label"])
        T[unseen] = np.eye(len(classes))[unseen]  # not the even row of a class of which nothing is known
        summary, gamma = class_summary(issues, classes, T), 1.0 - float(suspect_mask(issues).mean())
    else:
        classes, T = audit.classes_, audit.transition_matrix_
        summary, gamma = audit.get_class_summary(), float(audit.clean_rate_)
    pairs = overlapping_classes(issues, classes, T).head(8)
    return {
        "n_rows": len(issues),
        "n_suspects": int(suspect_mask(issues).sum()),
        "gamma": gamma,
        "summary": _lines(summary, "class_label", "top_confusion"),
        "pairs": _lines(pairs[pairs["n_expected"] > 0], "class_a", "class_b"),
        "n_decided": int(issues["decided"].sum()) if "decided" in issues.columns else 0,
        **_estimates(audit, issues),
        "heat": _heat(classes, T),
        "bins": _bins(issues),
    }


def _lines(table: pd.DataFrame, *labels: str) -> list[dict[Any, Any]]:
    """Lines of a table; the labels in some columns are text, as everywhere on the page."""
    return table.assign(**{name: table[name].map(label_text, "ignore") for name in labels}).to_dict("records")


def _estimates(audit: Any, issues: pd.DataFrame) -> dict[str, Any]:
    """Number of wrong labels and what a review brings; None where only a table of issues is known."""
    clean = getattr(audit, "clean_proba_", None)
    if clean is None:
        return {"wrong": None, "gain": None, "reach": None}
    order = np.argsort(issues["label_quality"].to_numpy(), kind="stable")
    most = min(FIRST, max(1, int(suspect_mask(issues).sum())))
    return {
        "wrong": estimate_wrong_labels(clean),
        "gain": expected_gain(clean, order, most),
        "reach": rows_to_reach(clean, order),
    }


def _heat(classes: Any, T: np.ndarray) -> dict[str, Any]:
    """Heat map rows; of more than `MAX_HEAT` classes, those with most confusion."""
    T = np.asarray(T, dtype=float)
    mixed = (T.sum(axis=0) + T.sum(axis=1) - 2 * np.diag(T)).argsort(kind="stable")[::-1]
    kept = np.sort(mixed[:MAX_HEAT])
    names = [label_text(label) for label in np.asarray(classes)[kept]]
    cells = [
        [{"rate": float(T[i, j]), "tint": round(100 * float(T[i, j]) ** 0.5), "own": i == j} for j in kept]
        for i in kept
    ]
    return {"names": names, "rows": list(zip(names, cells, strict=True)), "left_out": len(T) - len(kept)}


def _bins(issues: pd.DataFrame) -> list[dict[str, float]]:
    """Histogram of the quality: suspects and others per bin, heights in per cent of the tallest bin."""
    edges = np.linspace(0, 1, N_BINS + 1)
    suspect = suspect_mask(issues)
    quality = issues["label_quality"].to_numpy()
    counts = [np.histogram(quality[mask], edges)[0] for mask in (suspect, ~suspect)]
    most = max(1, int((counts[0] + counts[1]).max()))
    return [
        {"low": low, "high": high, "wrong": int(w), "right": int(r), "w": 100 * w / most, "r": 100 * r / most}
        for low, high, w, r in zip(edges[:-1], edges[1:], *counts, strict=True)
    ]
