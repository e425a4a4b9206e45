"""A cleaned copy of labelled data."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

Policy = Literal["drop", "refurbish", "flag"]
POLICIES = ("drop", "refurbish", "flag")
FLAG_COLUMNS = ("is_label_issue", "label_quality", "suggested_label")


def matched_issues(issues: pd.DataFrame, n: int, index: pd.Index | None) -> pd.DataFrame:
    """`issues` in the order of the data.

    Equal indices match row by row, duplicates too; a re-ordered table is put back by its unique index.

    Raises
    ------
    ValueError
        If the two tables cannot be the same rows.
    """
    if len(issues) != n:
        raise ValueError(f"issues has {len(issues)} rows, the data has {n}")
    if index is None or issues.index.equals(index):
        return issues
    unique = issues.index.is_unique and index.is_unique
    if not unique or not index.isin(issues.index).all():
        raise ValueError("the index of issues is not that of the data; pass the table as it was made")
    return issues.loc[index]


def rows_to_change(issues: pd.DataFrame, min_confidence: float = 0.0) -> NDArray[np.bool_]:
    """Suspects whose best other label is at least `min_confidence` likely, as a mask of shape (n,)."""
    other = issues["refurbished_label"].to_numpy() != issues["given_label"].to_numpy()
    sure = issues["refurbished_confidence"].to_numpy() >= min_confidence
    suspect = issues["is_label_issue"].to_numpy(dtype=bool)
    return suspect & (sure & other if min_confidence > 0 else np.ones_like(other))


def _refurbished(labels: pd.Series, issues: pd.DataFrame, rows: NDArray[np.bool_]) -> pd.Series:
    """Copy of `labels` with the refurbished label in the masked rows; the dtype is kept."""
    fixed = labels.copy()
    if rows.any():
        fixed.iloc[np.flatnonzero(rows)] = issues["refurbished_label"].to_numpy()[rows]
    return fixed


def _correct_frame(
    data: pd.DataFrame, issues: pd.DataFrame, policy: str, label: Any, rows: NDArray[np.bool_]
) -> pd.DataFrame:
    """`apply_corrections` for a table."""
    if policy == "drop":
        return data.loc[~rows].copy()
    clean = data.copy()
    if policy == "refurbish":
        clean[label] = _refurbished(data[label], issues, rows)
        return clean
    taken = [column for column in FLAG_COLUMNS if column in data.columns]
    if taken:
        raise ValueError(f"the data already has the column {taken[0]!r}; rename it before flagging")
    values = (rows, issues["label_quality"].to_numpy(), issues["refurbished_label"].to_numpy())
    return clean.assign(**dict(zip(FLAG_COLUMNS, values, strict=True)))


def _correct_arrays(X: Any, y: Any, issues: pd.DataFrame, policy: str, rows: NDArray[np.bool_]) -> tuple[Any, ...]:
    """`apply_corrections` for a pair of arrays."""
    if policy == "flag":
        return X, y, rows
    if policy == "drop":
        kept = np.flatnonzero(~rows)
        return _safe_indexing(X, kept), _safe_indexing(y, kept)
    fixed = _refurbished(pd.Series(y), issues, rows)
    return X, (fixed if isinstance(y, pd.Series) else fixed.to_numpy())


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
    policy: Policy = ...,
    *,
    label: Any = ...,
    min_confidence: float = ...,
) -> pd.DataFrame: ...


@overload
def apply_corrections(
    data: tuple[Any, Any],
    issues: pd.DataFrame,
    policy: Policy = ...,
    *,
    label: Any = ...,
    min_confidence: float = ...,
) -> tuple[Any, ...]: ...


def apply_corrections(
    data: Any,
    issues: pd.DataFrame,
    policy: Policy = "drop",
    *,
    label: Any = None,
    min_confidence: float = 0.0,
) -> Any:
    """Cleaned copy of labelled data; the original is never changed.

    Parameters
    ----------
    data : DataFrame or tuple (X, y)
        A table with a label column, such as the manifest of an image folder (`image_manifest`), or a pair of
        features and labels of n rows.
    issues : DataFrame of n rows
        As `get_label_issues` or `cross_val_label_issues` returns it for the same rows.
    policy : {"drop", "refurbish", "flag"}, default "drop"
        Remove the suspects, give them their refurbished label, or only mark them.
    label : str, optional
        Name of the label column; needed to refurbish a table.
    min_confidence : float in [0, 1], default 0
        Above 0, only suspects are touched whose refurbished label differs from the given one and has at least
        this `refurbished_confidence`.

    Returns
    -------
    clean : DataFrame or tuple
        A table like `data`; "flag" adds `is_label_issue`, `label_quality` and `suggested_label`. For a tuple
        (X, y), and for "flag" (X, y, mask); X is copied only where rows are dropped.

    Raises
    ------
    ValueError
        For an unknown policy, a confidence outside [0, 1], rows that do not match, or a missing label column.
    """
    _check(policy, min_confidence)
    if isinstance(data, pd.DataFrame):
        if policy == "refurbish" and label not in data.columns:
            raise ValueError(f"refurbishing a table needs its label column; {label!r} is not one")
        issues = matched_issues(issues, len(data), data.index)
        return _correct_frame(data, issues, policy, label, rows_to_change(issues, min_confidence))
    X, y = data
    index = next((part.index for part in (y, X) if isinstance(part, pd.DataFrame | pd.Series)), None)
    issues = matched_issues(issues, len(y), index)
    return _correct_arrays(X, y, issues, policy, rows_to_change(issues, min_confidence))
