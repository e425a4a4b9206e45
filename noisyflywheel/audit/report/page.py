"""One self-contained HTML page that a person can act on."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from sklearn.utils.validation import _num_samples

from noisyflywheel.audit.changes.workspace import relative
from noisyflywheel.audit.report.content import Content, fingerprint, is_paths, plain_value, show_rows
from noisyflywheel.audit.report.evidence import find_evidence, rows_beside
from noisyflywheel.audit.report.numbers import percent, report_numbers
from noisyflywheel.audit.report.suspects import decided_rows, make_cards, review_data
from noisyflywheel.audit.rows.identity import label_text
from noisyflywheel.audit.rows.matching import NEEDED, check_issue_columns
from noisyflywheel.audit.rows.order import check_order
from noisyflywheel.audit.rows.truth import suspect_mask, suspect_rows
from noisyflywheel.audit.scores.learners import last_step
from noisyflywheel.data.paths import user_path
from noisyflywheel.estimator.inputs.labels import check_judged_order
from noisyflywheel.persistence.whole import replace_file

PACKAGES = ("noisyflywheel", "scikit-learn", "skorch", "torch", "numpy", "pandas")
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
    X : array-like of n rows, sparse matrix, DataFrame, list of image files or Dataset, optional
        What the rows look like: pictures become thumbnails, other rows show their first values. It is hashed
        into the fingerprint; of a Dataset only the items that are shown are read, and only its length is hashed.
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
    TypeError
        If `audit` is none.
    ValueError
        If X or `texts` has another number of rows than the audit, or another order, or that has none, or a table lacks
        a column.
    """
    issues = _issues_of(audit)
    paired = {"X": X, "texts": texts, "files": files, "features": features}
    _check_lengths(issues, **paired)
    if isinstance(audit, pd.DataFrame):
        check_order(issues, **paired)
    else:
        check_judged_order(issues.index, "audit", **paired)
    suspects = suspect_rows(issues, max_rows)
    shown = list(dict.fromkeys([*suspects, *decided_rows(issues, decisions)]))
    if files is None and is_paths(X):
        files = [relative(Path(name), user_path(path).parent) for name in X]
    files = None if files is None else list(files)  # those of a Series are asked for by position
    seen = show_rows(X, shown[:MAX_CONTENT], texts=texts, image_shape=image_shape)
    content = {row: seen.get(row, Content()) for row in shown}
    is_picture = any(c.image for c in seen.values())
    evidence = find_evidence(audit, issues, shown[:MAX_CONTENT], X, features, is_picture)
    beside = show_rows(X, rows_beside(evidence), texts=texts, image_shape=image_shape, size=64)
    context = report_numbers(audit, issues)
    cards = make_cards(issues, content, files, evidence)
    data = review_data(issues, cards, getattr(audit, "classes_", None), decisions, beside, files)
    context |= {"strips": _strips(issues, cards[: len(suspects)], per_class), "sentence": _sentence(context)}
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
    page: str = _template().render(context)
    return replace_file(path, page.encode("utf-8", "backslashreplace"))


def _issues_of(audit: Any) -> pd.DataFrame:
    """Table of label issues, suspects marked by truth values; refuses what has none, or an empty one."""
    if not isinstance(audit, pd.DataFrame) and not hasattr(audit, "get_label_issues"):
        last = ": pass its last step, [-1]" if hasattr(audit, "steps") else ""
        raise TypeError(
            "audit must be a fitted FlywheelClassifier, an audit or a table of label issues; "
            f"got {type(audit).__name__}{last}"
        )
    issues = audit if isinstance(audit, pd.DataFrame) else audit.get_label_issues()
    check_issue_columns(issues, (*NEEDED, "predicted_label", "predicted_confidence"))
    if issues.empty:
        raise ValueError("the table of issues has no rows")
    return issues.assign(is_label_issue=suspect_mask(issues))


def _check_lengths(issues: pd.DataFrame, **arrays: Any) -> None:
    """Refuse what has not a row for each line of `issues`."""
    for name, rows in arrays.items():
        if rows is not None and (n := _num_samples(rows)) != len(issues):
            some = hasattr(rows, "iloc") and "row" in issues.columns and issues["row"].max() <= n
            judged = f': pass those that were judged, {name}.iloc[issues["row"] - 1]' if some else ""
            raise ValueError(f"{name} has {n} rows, the audit has {len(issues)}{judged}")


def _template() -> Any:
    """The page, every value escaped."""
    loader = PackageLoader("noisyflywheel", "audit/report")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["percent"] = percent
    return environment.get_template("page.html")


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


def _strips(issues: pd.DataFrame, cards: list[dict[str, Any]], per_class: int) -> list[dict[str, Any]]:
    """The most doubtful suspects of each given class, of their cards; the class with most suspects first."""
    suspects = issues.loc[suspect_mask(issues), "given_label"].map(label_text)
    of_class: dict[str, list[dict[str, Any]]] = {}
    for card in cards:
        of_class.setdefault(card["given"], []).append(card)
    return [
        {"name": name, "n": int(n), "cards": of_class.get(str(name), [])[:per_class]}
        for name, n in suspects.value_counts().items()
    ]


def _settings(audit: Any, extra: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Options of the caller and parameters of the estimator, as text."""
    pairs = dict(extra or {})
    if hasattr(audit, "get_params"):
        pairs["estimator"] = type(last_step(getattr(audit, "model", audit))).__name__
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
