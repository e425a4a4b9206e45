"""One self-contained HTML page that a person can act on."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from noisyflywheel.audit.content import fingerprint, plain_value, show_rows
from noisyflywheel.estimator.issues import class_summary, overlapping_classes
from noisyflywheel.noise import transition_matrix

PACKAGES = ("noisyflywheel", "scikit-learn", "skorch", "torch", "numpy", "pandas")
N_BINS = 20
MAX_HEAT = 60


def write_report(
    path: str | Path,
    audit: Any,
    X: Any = None,
    *,
    texts: Any = None,
    image_shape: tuple[int, ...] | None = None,
    title: str = "Label audit",
    settings: Mapping[str, Any] | None = None,
    max_rows: int = 500,
    per_class: int = 10,
) -> Path:
    """Write the findings of an audit as one HTML file that needs nothing else.

    Parameters
    ----------
    path : str or Path
        File to write; its folder must exist.
    audit : FlywheelClassifier, CrossValAudit or DataFrame
        A fitted estimator, or a table of label issues.
    X : array-like of n rows, DataFrame or list of image files, optional
        What the rows look like: pictures become thumbnails, other rows show their first values. It is hashed
        into the fingerprint.
    texts : array-like of shape (n,), optional
        Shown instead of X.
    image_shape : tuple, optional
        Shape of one row when X holds flattened pictures, for example (8, 8).
    title : str, default "Label audit"
    settings : mapping, optional
        Shown with the estimator's parameters, for example file names and options.
    max_rows : int, default 500
        Suspects listed; the most doubtful first.
    per_class : int, default 10
        Rows in the strip of each class.

    Returns
    -------
    path : Path

    Raises
    ------
    ValueError
        If X or `texts` has another number of rows than the audit.
    """
    issues = audit if isinstance(audit, pd.DataFrame) else audit.get_label_issues()
    for name, rows in (("X", X), ("texts", texts)):
        if rows is not None and len(rows) != len(issues):
            raise ValueError(f"{name} has {len(rows)} rows, the audit has {len(issues)}")
    shown = _shown_rows(issues, max_rows, per_class)
    content = show_rows(X, shown, texts=texts, image_shape=image_shape)
    context = _findings(audit, issues)
    context |= _row_lists(issues, content, max_rows, per_class)
    context |= {
        "title": title,
        "is_picture": any(c.image for c in content.values()),
        "date": f"{datetime.now(UTC):%d %B %Y, %H:%M} UTC",
        "fingerprint": fingerprint(*(p for p in (X, texts, issues["given_label"]) if p is not None)),
        "settings": _settings(audit, settings),
        "versions": _versions(),
    }
    path = Path(path)
    path.write_text(_template().render(context), encoding="utf-8")
    return path


def _template() -> Any:
    """The page, every value escaped."""
    loader = PackageLoader("noisyflywheel", "audit")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["percent"] = percent
    return environment.get_template("report.html")


def percent(rate: float) -> str:
    """Share as text: two significant digits below one per cent, else whole."""
    if rate is None or np.isnan(rate):
        return "–"
    value = 100 * float(rate)
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


def _shown_rows(issues: pd.DataFrame, max_rows: int, per_class: int) -> list[int]:
    """Positions of the rows that appear anywhere on the page, each once."""
    order = np.argsort(issues["label_quality"].to_numpy(), kind="stable")
    suspect = issues["is_label_issue"].to_numpy(dtype=bool)
    listed = [int(i) for i in order if suspect[i]][:max_rows]
    given = issues["given_label"].to_numpy()[order]
    rank = pd.Series(given).groupby(given, sort=False).cumcount().to_numpy()
    strips = [int(i) for i, r in zip(order, rank, strict=True) if r < per_class and suspect[i]]
    return list(dict.fromkeys(listed + strips))


def _findings(audit: Any, issues: pd.DataFrame) -> dict[str, Any]:
    """Numbers, tables and charts of the page."""
    if isinstance(audit, pd.DataFrame):
        classes = np.unique(issues[["given_label", "refurbished_label"]].to_numpy().ravel())
        T = transition_matrix(issues["refurbished_label"], issues["given_label"], labels=list(classes))
        summary, gamma = class_summary(issues, classes, T), 1.0 - float(issues["is_label_issue"].mean())
    else:
        classes, T = audit.classes_, audit.transition_matrix_
        summary, gamma = audit.get_class_summary(), float(audit.clean_rate_)
    pairs = overlapping_classes(issues, classes, T).head(8)
    return {
        "n_rows": len(issues),
        "n_suspects": int(issues["is_label_issue"].sum()),
        "gamma": gamma,
        "summary": summary.to_dict("records"),
        "pairs": pairs[pairs["n_expected"] > 0].to_dict("records"),
        "heat": _heat(classes, T),
        "bins": _bins(issues),
    }


def _heat(classes: Any, T: np.ndarray) -> dict[str, Any]:
    """Heat map rows; of more than `MAX_HEAT` classes, those with most confusion."""
    T = np.asarray(T, dtype=float)
    mixed = (T.sum(axis=0) + T.sum(axis=1) - 2 * np.diag(T)).argsort(kind="stable")[::-1]
    kept = np.sort(mixed[:MAX_HEAT])
    names = [str(label) for label in np.asarray(classes)[kept]]
    cells = [
        [{"rate": float(T[i, j]), "tint": round(100 * float(T[i, j]) ** 0.5), "own": i == j} for j in kept]
        for i in kept
    ]
    return {"names": names, "rows": list(zip(names, cells, strict=True)), "left_out": len(T) - len(kept)}


def _bins(issues: pd.DataFrame) -> list[dict[str, float]]:
    """Histogram of the quality: suspects and others per bin, heights in per cent of the tallest bin."""
    edges = np.linspace(0, 1, N_BINS + 1)
    suspect = issues["is_label_issue"].to_numpy(dtype=bool)
    quality = issues["label_quality"].to_numpy()
    counts = [np.histogram(quality[mask], edges)[0] for mask in (suspect, ~suspect)]
    most = max(1, int((counts[0] + counts[1]).max()))
    return [
        {"low": low, "high": high, "wrong": int(w), "right": int(r), "w": 100 * w / most, "r": 100 * r / most}
        for low, high, w, r in zip(edges[:-1], edges[1:], *counts, strict=True)
    ]


def _row_lists(issues: pd.DataFrame, content: dict[int, Any], max_rows: int, per_class: int) -> dict[str, Any]:
    """Cards of the suspects: in one list, and by given class with the worst class first."""
    cards = []
    for row in content:
        line = issues.iloc[row]
        cards.append(
            {
                "name": str(issues.index[row]),
                "position": row,
                "given": str(line["given_label"]),
                "suggested": str(line["refurbished_label"]),
                "changed": line["given_label"] != line["refurbished_label"],
                "perhaps": str(line["predicted_label"]) if line["predicted_label"] != line["given_label"] else "",
                "confidence": float(line["refurbished_confidence"]),
                "quality": float(line["label_quality"]),
                "content": content[row],
            }
        )
    suspects = issues.loc[issues["is_label_issue"].to_numpy(dtype=bool), "given_label"].astype(str)
    strips = [
        {"name": name, "n": int(n), "cards": [c for c in cards if c["given"] == name][:per_class]}
        for name, n in suspects.value_counts().items()
    ]
    return {"cards": cards[:max_rows], "strips": strips}


def _settings(audit: Any, extra: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Options of the caller and parameters of the estimator, as text."""
    pairs = dict(extra or {})
    if hasattr(audit, "get_params"):
        pairs["estimator"] = type(audit).__name__
        pairs |= audit.get_params(deep=False)
    return [(str(name), plain_value(value)) for name, value in pairs.items()]


def _versions() -> list[tuple[str, str]]:
    """Installed versions of what the numbers depend on."""
    found = [("python", platform.python_version())]
    for name in PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
