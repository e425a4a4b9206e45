"""What is worth knowing of labelled data before anything is trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from sklearn.tree import DecisionTreeClassifier

from noisyflywheel.audit.checks.alike import alike
from noisyflywheel.audit.checks.equal_rows import equal_rows
from noisyflywheel.audit.checks.finding import Finding, row_tuple
from noisyflywheel.audit.rows.identity import check_frame, is_label, label_text
from noisyflywheel.data.encoder.columns import (
    ID_NAME,
    Column,
    is_missing,
    plan_columns,
    read_dates,
    read_numbers,
)
from noisyflywheel.data.encoder.encode import check_columns
from noisyflywheel.data.units import in_own_units

RARE = 10
GIVES_AWAY = 0.995
SAMPLE = 1000
MAX_NAMES = 300
MOST_NAMED = 10
GROUP_NAME = re.compile(r"patient|subject|user|customer|client|person|author|session|group|household|account", re.I)


def preflight(
    table: pd.DataFrame, label: Any, plan: Sequence[Column] = (), groups: Any = None, judged: Any = None
) -> list[Finding]:
    """Look at labels and columns before training, in about a second.

    Parameters
    ----------
    table : DataFrame of N rows
        Missing cells are None or NaN.
    label : column name
    plan : sequence of Column, default ()
        The features, as `plan_columns` gives them; found out if there are none.
    groups : column name, optional
        What the user says belongs together.
    judged : bool ndarray of shape (N,), optional
        Rows with a label; found in the table where not given.

    Returns
    -------
    findings : list of Finding
        Missing labels, rare classes, class names that look alike, equal rows with different labels, copies
        (`find_copies`), columns that give the label away, columns that look like groups.

    Raises
    ------
    TypeError
        If the table is no pandas DataFrame.
    ValueError
        For names that are no columns, or two.
    """
    check_frame(table)
    check_columns(table, [label, *([groups] if groups is not None else [])])
    table, label = table.set_axis([str(name) for name in table.columns], axis=1), str(label)
    plan, groups = [replace(c, name=str(c.name)) for c in plan], None if groups is None else str(groups)
    has = is_label(table[label]) if judged is None else np.asarray(judged)
    if not plan:
        check_columns(table, table.columns)
        plan = plan_columns(table[has], leave_out=[label, groups])
    rows, labels = np.flatnonzero(has) + 1, table[label][has].map(label_text).to_numpy(dtype=object)
    found = missing_labels(has)
    found += rare_classes(labels, rows)
    found += similar_names(labels, rows)
    found += equal_rows(table[has], label, plan, labels, rows)
    found += leaking_columns(table[has], plan, labels)
    return found + group_columns(table[has], label, groups)


def missing_labels(has: NDArray[np.bool_]) -> list[Finding]:
    """Rows without a label."""
    rows = np.flatnonzero(~has) + 1
    if not rows.size:
        return []
    text = f"{len(rows):,} rows have no label and are not judged." if len(rows) > 1 else "1 row has no label."
    return [Finding("missing labels", text, row_tuple(rows))]


def rare_classes(labels: NDArray[Any], rows: NDArray[np.intp]) -> list[Finding]:
    """Classes of fewer than ten rows."""
    counts = pd.Series(labels).value_counts()
    found = [
        Finding(
            "rare class",
            f"Class {name!r} has {n} row{'s' * (n > 1)} only: too few to judge.",
            row_tuple(rows[labels == name]),
        )
        for name, n in counts[counts < RARE].sort_index().items()
    ]
    return _first(found, f"classes have fewer than {RARE} rows")


def similar_names(labels: NDArray[Any], rows: NDArray[np.intp]) -> list[Finding]:
    """Pairs of classes whose names differ in case, white space, accents or one or two letters."""
    names = sorted(set(labels))
    found = []
    for place, name in enumerate(names[:MAX_NAMES]):
        for other in names[place + 1 : MAX_NAMES]:
            if alike(name, other):
                few = min((name, other), key=lambda n: int((labels == n).sum()))
                found.append(
                    Finding(
                        "similar names",
                        f"Classes {name!r} and {other!r} have almost the same name.",
                        row_tuple(rows[labels == few]),
                    )
                )
    return _first(found, "pairs of classes have almost the same name")


def leaking_columns(table: pd.DataFrame, plan: Sequence[Column], labels: NDArray[Any]) -> list[Finding]:
    """Columns that alone give (nearly) every label: they may have been filled in from it."""
    n = len(labels)
    if n < 20:
        return []
    picked = np.sort(np.random.default_rng(0).permutation(n)[:SAMPLE])
    codes = pd.factorize(labels[picked])[0]
    if np.bincount(codes).max() >= GIVES_AWAY * len(codes):
        return []
    found = []
    for column in plan:
        share = _told(table[column.name].iloc[picked], column, codes)
        if share >= GIVES_AWAY:
            text = (
                f"Column {str(column.name)!r} alone tells {share:.1%} of the labels: it may have been made from them."
            )
            found.append(Finding("leakage", text))
    return found


def _told(column: pd.Series, planned: Column, codes: NDArray[np.intp]) -> float:
    """Share of the labels, as codes (n,), that one column tells."""
    if planned.kind == "category":
        return _told_by_category(column, codes)
    if planned.kind == "number":
        numbers = read_numbers(column, planned.form)
        below_all = -2 * (numbers.abs().max() or 1)
        return _told_by_number(numbers.fillna(below_all), codes)
    return _told_by_number(read_dates(column, planned.form).astype("int64"), codes) if planned.kind == "date" else 0.0


def _told_by_category(column: pd.Series, codes: NDArray[np.intp]) -> float:
    """Share of the labels that are the most frequent one of their category; 0 where categories have few rows."""
    values = pd.factorize(column.astype(str))[0]
    if values.max() + 1 > 0.2 * len(values):
        return 0.0
    best = pd.crosstab(values, codes).to_numpy().max(axis=1)
    return float(best.sum() / len(codes))


def _told_by_number(numbers: pd.Series, codes: NDArray[np.intp]) -> float:
    """Share of the labels that a small tree tells, of rows that it learnt and of others, whichever is lower.

    Classes of one or two rows, which cannot be parted into these, are left out.
    """
    often = np.bincount(codes)[codes] >= 3
    x, codes = in_own_units(numbers.to_numpy(dtype=np.float64)[:, None]), codes[often]
    if len(np.unique(codes)) < 2 or not np.isfinite(x).all():
        return 0.0
    tree = DecisionTreeClassifier(max_leaf_nodes=2 * len(np.unique(codes)), random_state=0)
    x_train, x_test, train, test = train_test_split(x[often], codes, stratify=codes, random_state=0)
    tree.fit(x_train, train)
    return float(min(tree.score(x_train, train), tree.score(x_test, test)))


def group_columns(table: pd.DataFrame, label: Any, groups: Any) -> list[Finding]:
    """Columns that say which rows belong together, such as those of one patient."""
    if groups is not None:
        n = table[groups].nunique()
        return [
            Finding("groups", f"{n:,} groups in {str(groups)!r}; a row is judged by models that saw none of its group.")
        ]
    found = []
    for name in table.columns:
        called = str(name)
        if name == label or not (GROUP_NAME.search(called) or ID_NAME.search(called)):
            continue
        column = table[name]
        n = column[~is_missing(column)].astype(str).nunique()
        if 0.01 * len(column) < n <= 0.7 * len(column) and n > 10:
            text = (
                f"Column {called!r} has {n:,} values in {len(column):,} rows: if rows of one value belong together, "
                "give it as groups."
            )
            found.append(Finding("groups", text))
    return found


def _first(found: list[Finding], what: str) -> list[Finding]:
    """The first `MOST_NAMED` findings of one kind, and the others in one: with many classes they would fill a page."""
    rest = found[MOST_NAMED:]
    if len(rest) < 2:
        return found
    rows = sorted({row for finding in rest for row in finding.rows})
    return [*found[:MOST_NAMED], Finding(rest[0].kind, f"{len(rest):,} more {what}.", tuple(rows))]
