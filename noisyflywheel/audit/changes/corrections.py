"""A cleaned copy of labelled data."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import _safe_indexing, check_consistent_length

from noisyflywheel.audit.changes.decisions import POLICIES, planned_changes, undecided_suspects
from noisyflywheel.audit.rows.identity import OWN_COLUMNS, check_frame, class_text, label_text
from noisyflywheel.audit.rows.matching import check_is_table, match_rows, with_labels_of
from noisyflywheel.audit.rows.truth import TRUTH
from noisyflywheel.estimator.inputs.labels import check_same_index, one_column

Policy = Literal["keep", "drop", "refurbish", "flag"]


def typed_labels(values: list[Any], like: Any) -> list[Any]:
    """Labels as the data writes them: text read from a file becomes the class of the same text, or of the same number.

    Raises
    ------
    ValueError
        If a label that the data does not have cannot be of the type of the others.
    """
    known = {label_text(value): value for value in pd.Series(like).dropna().unique()}
    values = [class_text(value, known) for value in values]
    return [known[label_text(v)] if label_text(v) in known else _new_label(v, known.values()) for v in values]


def _new_label(value: Any, known: Any) -> Any:
    """A label that the data does not have yet."""
    kinds = {type(other) for other in known}
    if len(kinds) != 1 or isinstance(value, next(iter(kinds))):
        return value
    kind = next(iter(kinds))
    try:
        if kind in (bool, np.bool_):
            value = TRUTH[label_text(value).strip().lower()]
        with np.errstate(over="ignore"):
            new = kind(value)
        if _is_same_number(new, value):
            return new
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ValueError(f"the new label {value!r} is not of the type of the others") from error
    what = "whole number" if issubclass(kind, int | np.integer) else kind.__name__
    raise ValueError(f"the new label {value!r} is no {what} as the others are")


def _is_same_number(new: Any, value: Any) -> bool:
    """Whether a new label, if a number, still is the one that it was made of; a fraction only has to be near it."""
    if isinstance(new, int | np.integer):  # numpy 1 may wrap it around
        return bool(new == (int(value) if isinstance(value, str) else value))
    if isinstance(new, float | np.floating):
        number = float(value)
        return float(new) == number or not (np.isinf(new) or number.is_integer())
    return True


def relabelled(labels: pd.Series, places: NDArray[np.intp], values: list[Any]) -> pd.Series:
    """Copy of `labels` with other values in some places; the dtype is kept, a category may be added."""
    fixed = labels.copy()
    if len(places):
        new = typed_labels(values, labels)
        if isinstance(fixed.dtype, pd.CategoricalDtype):
            fixed = fixed.cat.add_categories([v for v in dict.fromkeys(new) if v not in fixed.cat.categories])
        fixed.iloc[places] = new
    return fixed


def _flagged(data: pd.DataFrame, issues: pd.DataFrame, rows: NDArray[np.bool_], at: NDArray[np.intp]) -> pd.DataFrame:
    """The table with three more columns; rows that were not judged are no issue, their other cells are missing."""
    taken = [column for column in OWN_COLUMNS if column in data.columns]
    if taken:
        raise ValueError(f"the data already has the column {taken[0]!r}; rename it before flagging")
    issue = np.zeros(len(data), dtype=bool)
    quality, suggested = np.full(len(data), np.nan), np.full(len(data), None, dtype=object)
    issue[at], quality[at] = rows, issues["label_quality"].to_numpy()
    suggested[at] = issues["refurbished_label"].astype(object).to_numpy()
    return data.assign(**dict(zip(OWN_COLUMNS, (issue, quality, suggested), strict=True)))


def _check(policy: str, min_confidence: float) -> None:
    """Refuse a policy or confidence that does not exist."""
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}; got {policy!r}")
    if not 0.0 <= min_confidence <= 1.0:
        raise ValueError(f"min_confidence must lie in [0, 1]; got {min_confidence!r}")


@overload
def apply_corrections(
    data: pd.DataFrame,
    issues: pd.DataFrame,
    policy: Policy | None = ...,
    *,
    label: Any = ...,
    min_confidence: float = ...,
    decisions: pd.DataFrame | None = ...,
) -> pd.DataFrame: ...


@overload
def apply_corrections(
    data: tuple[Any, Any],
    issues: pd.DataFrame,
    policy: Policy | None = ...,
    *,
    label: Any = ...,
    min_confidence: float = ...,
    decisions: pd.DataFrame | None = ...,
) -> tuple[Any, ...]: ...


def apply_corrections(
    data: Any,
    issues: pd.DataFrame,
    policy: Policy | None = None,
    *,
    label: Any = None,
    min_confidence: float = 0.0,
    decisions: pd.DataFrame | None = None,
) -> Any:
    """Cleaned copy of labelled data; the original is never changed.

    Parameters
    ----------
    data : DataFrame or tuple (X, y)
        A table with a label column, such as the manifest of an image folder (`image_manifest`), or a pair of
        features and labels of n rows; y may be one column, as a DataFrame or of shape (n, 1).
    issues : DataFrame
        As `get_label_issues`, `cross_val_label_issues` or `audit_table` returns it for the same rows, or `issues.csv`
        read by `read_issues`. Lines with a `row` are matched by it and by their `fingerprint`, others by the index.
    policy : {"keep", "drop", "refurbish", "flag"}, optional
        What becomes of suspects: nothing, remove the row, give it its refurbished label, or only mark it. Default
        "drop"; with `decisions` it is for the suspects that nobody decided, and the default is "keep".
    label : str, optional
        Name of the label column; needed to change labels of a table.
    min_confidence : float in [0, 1], default 0
        Above 0, only undecided suspects are touched whose refurbished label differs from the given one and has at
        least this `refurbished_confidence`.
    decisions : DataFrame, optional
        Of people, as the report saves them in `decisions.csv`: `row` (1-based), `decision` ("accept", "reject",
        "set", "skip", "drop") and `new_label` for "set"; for "accept" too where another suggestion was accepted.

    Returns
    -------
    clean : DataFrame or tuple
        A table like `data`; "flag" adds `is_label_issue`, `label_quality` and `suggested_label`. For a tuple
        (X, y), and for "flag" (X, y, mask); y is a Series or one column if it was given as one, else an array. X is
        copied only where rows are dropped.

    Raises
    ------
    TypeError
        If `data` is neither a pandas DataFrame nor a pair, or issues or decisions are no DataFrame.
    ValueError
        For an unknown policy, a confidence outside [0, 1], rows or labels that do not match, X and y of different
        index, y of several columns, a missing label column, or a decision about a row that was not judged.
    """
    policy = policy or ("drop" if decisions is None else "keep")
    _check(policy, min_confidence)
    check_is_table("issues", issues)
    table = not isinstance(data, tuple | list)
    if table:
        check_frame(data)
    elif len(data) != 2:
        raise TypeError(f"data must be a DataFrame or a pair (X, y), not a {type(data).__name__} of {len(data)}")
    if table and label not in data.columns and (label is not None or policy == "refurbish" or decisions is not None):
        raise ValueError(f"changing the labels of a table needs its label column; {label!r} is not one")
    X, given = (data, None if label is None else data[label]) if table else data
    y = one_column(given)
    if not table:
        check_consistent_length(X, y)
        check_same_index(X, y)
    issues = with_labels_of(issues, y)
    at = match_rows(issues, X, y, label)
    numbered = issues.assign(row=at + 1).reset_index(drop=True)
    changes = planned_changes(numbered, policy, min_confidence, decisions)
    if table:
        fixed = data if label is None else data.copy(deep=False)
        if label is not None:
            fixed[label] = _set_labels(data[label], changes)
    else:
        fixed = (X, _like(_set_labels(pd.Series(y), changes), given))
    fixed = _without(fixed, changes)
    if policy != "flag":
        return fixed
    rows = undecided_suspects(numbered, min_confidence, decisions)
    if table:
        return _flag_left(fixed, numbered, rows, at, changes, len(data))
    kept, mask = _kept(len(y), changes), np.full(len(y), False)
    mask[at] = rows
    return *fixed, mask[kept]


def _like(labels: pd.Series, y: Any) -> Any:
    """Labels as y holds them: a Series, one column, or an array of its type; of texts, of objects."""
    if isinstance(y, pd.DataFrame):
        return labels.to_frame().set_axis(y.columns, axis=1)
    if isinstance(y, pd.Series):
        return labels
    values = labels.to_numpy()
    values = values[:, None] if getattr(y, "ndim", 1) == 2 else values
    return values.astype(y.dtype) if isinstance(y, np.ndarray) and y.dtype.kind not in "US" else values


def _set_labels(labels: pd.Series, changes: pd.DataFrame) -> pd.Series:
    """Labels after the changes of the kind "set"."""
    lines = changes[changes["action"] == "set"]
    return relabelled(labels, lines["row"].to_numpy(dtype=np.intp) - 1, list(lines["to"]))


def _kept(n: int, changes: pd.DataFrame) -> NDArray[np.intp]:
    """Positions that are not dropped."""
    gone = changes.loc[changes["action"] == "drop", "row"].to_numpy(dtype=np.intp) - 1
    return np.setdiff1d(np.arange(n), gone)


def _without(data: Any, changes: pd.DataFrame) -> Any:
    """Data without the dropped rows; a table is copied in any case."""
    if isinstance(data, pd.DataFrame):
        return data.iloc[_kept(len(data), changes)].copy()
    X, y = data
    kept = _kept(len(y), changes)
    if len(kept) == len(y):
        return X, y
    rows = X.tocsr() if issparse(X) and X.format != "csc" else X
    return _safe_indexing(rows, kept), _safe_indexing(y, kept)


def _flag_left(
    fixed: pd.DataFrame,
    issues: pd.DataFrame,
    rows: NDArray[np.bool_],
    at: NDArray[np.intp],
    changes: pd.DataFrame,
    n: int,
) -> pd.DataFrame:
    """Flags on the rows that decisions left in the table."""
    kept = _kept(n, changes)
    place = np.full(n, -1)
    place[kept] = np.arange(len(kept))
    there = place[at] >= 0
    return _flagged(fixed, issues[there], rows[there], place[at][there])
