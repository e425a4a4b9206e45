"""One self-contained HTML page that a person can act on."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from noisyflywheel.audit.content import Content, fingerprint, is_paths, plain_value, show_rows
from noisyflywheel.audit.estimates import estimate_wrong_labels, expected_gain, rows_to_reach
from noisyflywheel.audit.evidence import find_evidence, rows_beside
from noisyflywheel.audit.identity import label_text
from noisyflywheel.audit.report_rows import decided_rows, make_cards, review_data, suspect_rows
from noisyflywheel.audit.workspace import relative
from noisyflywheel.estimator.issues import class_summary, overlapping_classes
from noisyflywheel.noise import transition_matrix

PACKAGES = ("noisyflywheel", "scikit-learn", "skorch", "torch", "numpy", "pandas")
N_BINS = 20
MAX_HEAT = 60
FIRST = 100
"""Rows whose review is priced."""
MAX_CONTENT = 5000
"""Suspects whose picture, text or values are in the page; the others are named only."""


def write_report(
    path: str | Path,
    audit: Any,
    X: Any = None,
    *,
    texts: Any = None,
    image_shape: tuple[int, ...] | None = None,
    title: str = "Label audit",
    settings: Mapping[str, Any] | None = None,
    files: Sequence[str] | None = None,
    decisions: pd.DataFrame | None = None,
    features: Any = None,
    max_rows: int | None = None,
    per_class: int = 10,
) -> Path:
    """Write the findings of an audit as one HTML file that needs nothing else.

    Every suspect can be accepted, rejected, set to another class or skipped, with the mouse or with keys; the page
    saves the decisions as `decisions.csv` for `apply_corrections` and `noisyflywheel apply`.

    Parameters
    ----------
    path : str or Path
        File to write; its folder must exist.
    audit : FlywheelClassifier, CrossValAudit, TableAudit or DataFrame
        A fitted estimator, an audit, or a table of label issues.
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
    files : sequence of n str, optional
        Place of each picture's file as seen from the page: it is named, and linked to.
    decisions : DataFrame, optional
        Made so far, as in `apply_corrections`: they are in the page, and their rows at the end of the list.
    features : array-like of n rows, optional
        Numbers or pictures in which rows are compared: each suspect is shown with the three nearest of the surest rows
        of its suggested class. X where that holds numbers or pictures.
    max_rows : int, optional
        Suspects listed, the most doubtful first; all of them if None.
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
    for name, rows in (("X", X), ("texts", texts), ("files", files), ("features", features)):
        if rows is not None and len(rows) != len(issues):
            raise ValueError(f"{name} has {len(rows)} rows, the audit has {len(issues)}")
    shown = list(dict.fromkeys([*suspect_rows(issues, max_rows), *decided_rows(issues, decisions)]))
    if files is None and is_paths(X):
        files = [relative(Path(name), Path(path).parent) for name in X]
    seen = show_rows(X, shown[:MAX_CONTENT], texts=texts, image_shape=image_shape)
    content = {row: seen.get(row, Content()) for row in shown}
    is_picture = any(c.image for c in seen.values())
    evidence = find_evidence(audit, issues, shown[:MAX_CONTENT], X, features, is_picture)
    beside = show_rows(X, rows_beside(evidence), texts=texts, image_shape=image_shape, size=64)
    context = _findings(audit, issues)
    cards = make_cards(issues, content, files, evidence)
    data = review_data(issues, cards, getattr(audit, "classes_", None), decisions, beside, files)
    context |= {"strips": _strips(issues, cards, per_class), "sentence": _sentence(context)}
    context |= {
        "data_json": script_json(data),
        "findings": getattr(audit, "findings", []),
        "warnings": getattr(audit, "warnings", []),
        "columns": _columns(audit),
        "title": title,
        "is_picture": is_picture,
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


def script_json(data: Any) -> Markup:
    """Data for a script element: no character in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _sentence(context: Mapping[str, Any]) -> str:
    """What was found, for someone who has no time."""
    n, rows, gain = context["n_suspects"], context["n_rows"], context["gain"]
    made = context["n_decided"]
    decided = f"{made:,} label{'s are' if made > 1 else ' is'} decided. " if made else ""
    if not n:
        return decided + f"None of {'the others' if decided else f'{rows:,} labels'} looks wrong."
    text = f"{decided}About {n:,} of {rows:,} labels ({percent(n / rows)}) are probably wrong."
    if gain is not None and gain.n_mended >= 0.5:
        first = f"the {gain.n_rows:,} most doubtful ones" if gain.n_rows > 1 else "the most doubtful one"
        text += (
            f" Checking {first} would put about {gain.n_mended:,.0f} right and raise the share of right labels from "
            f"{percent(gain.before)} to {percent(gain.after)}."
        )
    if context["pairs"]:
        pair = context["pairs"][0]
        text += f" {pair['class_a']} and {pair['class_b']} are confused most often."
    return text


def _columns(audit: Any) -> list[dict[str, Any]]:
    """Lines of the table of columns, if the audit has one."""
    columns = getattr(audit, "columns", None)
    known = isinstance(columns, pd.DataFrame) and "taken_as" in columns.columns
    return columns.to_dict("records") if known and columns is not None else []


def percent(rate: float) -> str:
    """Share as text: whole, but with a tenth below ten per cent and close to all."""
    if rate is None or np.isnan(rate):
        return "–"
    value = 100 * float(rate)
    if 99.5 <= value < 100:
        return f"{np.floor(10 * value) / 10:.1f} %"
    return f"{value:.1f} %" if 0 < value < 10 else f"{value:.0f} %"


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
        "n_decided": int(issues["decided"].sum()) if "decided" in issues.columns else 0,
        **_estimates(audit, issues),
        "heat": _heat(classes, T),
        "bins": _bins(issues),
    }


def _estimates(audit: Any, issues: pd.DataFrame) -> dict[str, Any]:
    """Number of wrong labels and what a review brings; None where only a table of issues is known."""
    clean = getattr(audit, "clean_proba_", None)
    if clean is None:
        return {"wrong": None, "gain": None, "reach": None}
    order = np.argsort(issues["label_quality"].to_numpy(), kind="stable")
    most = min(FIRST, max(1, int(issues["is_label_issue"].sum())))
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


def _strips(issues: pd.DataFrame, cards: list[dict[str, Any]], per_class: int) -> list[dict[str, Any]]:
    """The most doubtful suspects of each given class; the class with most suspects first."""
    suspects = issues.loc[issues["is_label_issue"].to_numpy(dtype=bool), "given_label"].map(label_text)
    return [
        {"name": name, "n": int(n), "cards": [card for card in cards if card["given"] == name][:per_class]}
        for name, n in suspects.value_counts().items()
    ]


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
