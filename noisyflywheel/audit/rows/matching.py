"""Findings and the data they were made from: which row is which, and whether it is still the same row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_float_dtype

from noisyflywheel.audit.files.table_file import unguard_cell
from noisyflywheel.audit.rows.identity import MARK, bare_fingerprint, index_of, label_text, row_fingerprints
from noisyflywheel.audit.rows.truth import row_numbers, suspect_mask
from noisyflywheel.estimator.inputs.labels import kind_of

LABEL_COLUMNS = ("given_label", "predicted_label", "refurbished_label", "new_label")
NUMBER_COLUMNS = ("label_quality", "predicted_confidence", "refurbished_confidence")
NEEDED = ("is_label_issue", "label_quality", "given_label", "refurbished_label", "refurbished_confidence")
"""Columns of a table of issues."""


def read_issues(path: Any) -> pd.DataFrame:
    """Read an `issues.csv` or `decisions.csv`: labels are text as they stand there, ``NA`` and ``01`` too.

    Parameters
    ----------
    path : str, Path or file

    Returns
    -------
    table : DataFrame

    Raises
    ------
    ValueError
        If the file is empty or not UTF-8, cells are not separated by commas, a column of a table of issues is not
        there, or a cell of `is_label_issue`, a quality or a confidence cannot be read.
    """
    text = {*LABEL_COLUMNS, "fingerprint", "path", "decision", "by", "when", "why"}
    names = _read_csv(path, nrows=0).columns
    if hasattr(path, "seek"):
        path.seek(0)
    _check_names([str(name) for name in names])
    table = _read_csv(path, keep_default_na=False, dtype={name: str for name in names if name in text})
    for name in text & set(names):
        table[name] = table[name].astype(object).map(unguard_cell)
    if not table.index.equals(pd.RangeIndex(len(table))):
        raise ValueError("the lines have more cells than the header: write numbers with a decimal point")
    for name in {*NUMBER_COLUMNS} & set(names):
        table[name] = _numbers(table, name)
    return table.assign(is_label_issue=suspect_mask(table)) if "is_label_issue" in names else table


def _read_csv(path: Any, **options: Any) -> pd.DataFrame:
    """`pandas.read_csv` with errors that say what to do."""
    named = path if isinstance(path, str | Path) else "the table"
    try:
        return pd.read_csv(path, **options)
    except UnicodeDecodeError as error:
        raise ValueError(f"{named} is not UTF-8: save it as CSV UTF-8") from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{named} is empty") from error


def _check_names(names: list[str]) -> None:
    """Refuse a file with other separators, and a table of issues without all its columns."""
    sign = next((sign for sign in (";", "\t") if any(sign in name for name in names)), None)
    if sign is not None and not {"row", "given_label", "decision"} & set(names):
        raise ValueError(f"the columns are separated by {sign!r}: save the table as CSV with commas")
    if {"is_label_issue", "refurbished_label"} & set(names):
        check_issue_columns(names)


def check_is_table(name: str, table: Any) -> None:
    """Raise TypeError for an argument that is no DataFrame, such as the audit in place of its table of issues."""
    if not isinstance(table, pd.DataFrame):
        has_one = ": pass what its get_label_issues() returns" if hasattr(table, "get_label_issues") else ""
        raise TypeError(f"{name} must be a pandas DataFrame, got {type(table).__name__}{has_one}")


def check_issue_columns(names: Iterable[Any], needed: Iterable[str] = NEEDED) -> None:
    """Raise ValueError if a table of issues with these columns lacks one that is needed."""
    there = list(map(str, names))
    gone = [name for name in needed if name not in there]
    if gone:
        raise ValueError(f"the table of issues has no column {gone[0]!r}; its columns are {', '.join(there)}")


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    """A column as float64; an empty cell is missing."""
    numbers = pd.to_numeric(table[name], errors="coerce").astype(np.float64)
    wrong = np.flatnonzero(numbers.isna() & ~table[name].astype(str).str.strip().isin(["", "nan"]))
    if wrong.size:
        row = row_numbers(table)[wrong[0]]
        cell = table[name].iloc[wrong[0]]
        raise ValueError(f"row {row}: {name} must be a number with a decimal point, not {cell!r}")
    return numbers


def with_identity(issues: pd.DataFrame, table: pd.DataFrame, label: Any, positions: NDArray[np.intp]) -> pd.DataFrame:
    """Issues with the columns `row`, 1-based, and `fingerprint` in front.

    Parameters
    ----------
    issues : DataFrame of n rows
    table : DataFrame of N rows, with and without label
    label : column name
    positions : ndarray of shape (n,)
        Row of the table that each line of `issues` is about.
    """
    marked = issues.copy()
    marked.insert(0, "row", np.asarray(positions) + 1)
    marked.insert(1, "fingerprint", row_fingerprints(table, [label])[positions])
    return marked


def match_rows(issues: pd.DataFrame, data: Any, labels: Any, label: Any = None) -> NDArray[np.intp]:
    """Position in the data of each line of `issues`.

    Lines with a `row` are matched by it, and by their `fingerprint` if they have one. Others are matched by the index;
    duplicates only where both indices are equal.

    Parameters
    ----------
    issues : DataFrame of m rows
    data : DataFrame of n rows or another array-like
    labels : array-like of shape (n,), optional
        Given labels of the data, compared with those of `issues` where there are any. A column of `data` that is called
        as they are holds them too.
    label : column name, optional
        Column of `data` that holds the labels, where there are no `labels` beside it; needed to compare fingerprints.

    Returns
    -------
    positions : ndarray of shape (m,)

    Raises
    ------
    ValueError
        If the two cannot be the same rows.
    """
    n = len(labels) if labels is not None else len(data)
    if "row" in issues.columns:
        positions = _by_number(issues, n)
        if "fingerprint" in issues.columns and isinstance(data, pd.DataFrame):
            if label is None and labels is None:
                raise ValueError(
                    "label= is needed, the name of the label column, to compare the rows with those of issues"
                )
            if label is None and getattr(labels, "name", None) in data.columns:
                label = labels.name
            _check_fingerprints(issues, data, label, positions)
    else:
        positions = _by_index(issues, n, index_of(labels, data))
    if labels is not None and "given_label" in issues.columns:
        _check_labels(issues, labels, positions)
    return positions


def with_labels_of(issues: pd.DataFrame, labels: Any) -> pd.DataFrame:
    """Issues with numbers for labels where the data's ``labels`` are floats: a file holds them as text, ``1.0``."""
    if labels is None or not is_float_dtype(pd.Series(labels).dtype):
        return issues
    read = {name: pd.to_numeric(issues[name], errors="coerce") for name in LABEL_COLUMNS if name in issues.columns}
    return issues.assign(**{name: numbers for name, numbers in read.items() if numbers.notna().all()})


def _by_number(issues: pd.DataFrame, n: int) -> NDArray[np.intp]:
    """Positions of 1-based row numbers."""
    rows = pd.to_numeric(issues["row"], errors="coerce").to_numpy(dtype=np.float64)
    if np.isnan(rows).any() or (rows % 1 != 0).any() or (rows < 1).any() or len(np.unique(rows)) < len(rows):
        raise ValueError("the column 'row' must hold each row's number, 1, 2, …, once")
    if len(rows) and rows.max() > n:
        raise ValueError(
            f"issues speaks of row {int(rows.max())}, the data has {n} rows: pass the whole table, with the rows that "
            "have no label"
        )
    return rows.astype(np.intp) - 1


def _by_index(issues: pd.DataFrame, n: int, index: pd.Index | None) -> NDArray[np.intp]:
    """Positions by the names of the rows, or by order where the data has no names."""
    if len(issues) != n:
        raise ValueError(f"issues has {len(issues)} rows, the data has {n}: fewer need a column 'row'")
    if index is None or issues.index.equals(index):
        return np.arange(n)
    if not issues.index.is_unique or not index.is_unique or not issues.index.isin(index).all():
        raise ValueError("the index of issues is not that of the data; pass the table as it was made")
    return np.asarray(index.get_indexer(issues.index), dtype=np.intp)


def _check_fingerprints(issues: pd.DataFrame, data: pd.DataFrame, label: Any, positions: NDArray[np.intp]) -> None:
    """Refuse rows of other content."""
    found = row_fingerprints(data, [] if label is None else [label])[positions]
    said = MARK + issues["fingerprint"].astype(str).map(bare_fingerprint)
    differs = np.flatnonzero(found != said.to_numpy())
    if differs.size:
        row = positions[differs[0]] + 1
        raise ValueError(
            f"row {row} of the data is not the row that was judged ({differs.size:,} of {len(issues):,} differ): "
            "pass the whole table, all its columns, with the rows in the order of the file"
        )


def _check_labels(issues: pd.DataFrame, labels: Any, positions: NDArray[np.intp]) -> None:
    """Refuse rows whose given label is another one."""
    labels = pd.Series(labels) if kind_of(labels) in "mM" else labels  # of times numpy makes Python's or bare numbers
    have = np.array([label_text(value) for value in np.asarray(labels, dtype=object)[positions]], dtype=object)
    said = np.array([label_text(value) for value in issues["given_label"].astype(object)], dtype=object)
    differs = np.flatnonzero((have != said) & (have != np.array([unguard_cell(v) for v in said], dtype=object)))
    if differs.size:
        first = differs[0]
        raise ValueError(
            f"row {positions[first] + 1} of the data has the label {have[first]!r}, issues says {said[first]!r} "
            f"({differs.size:,} of {len(issues):,} differ); read issues.csv with noisyflywheel.audit.read_issues"
        )
