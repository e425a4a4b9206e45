"""Audit of a table in one call: from mixed columns and a label column to a verdict on each label."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from noisyflywheel.audit.checks.preflight import Finding, preflight
from noisyflywheel.audit.rows.identity import check_frame, is_label
from noisyflywheel.audit.rows.matching import with_identity
from noisyflywheel.audit.scores.class_labels import class_labels
from noisyflywheel.audit.scores.estimates import audit_line
from noisyflywheel.audit.scores.folds import folds_among
from noisyflywheel.audit.scores.judging import judge_rows
from noisyflywheel.audit.scores.learners import last_step
from noisyflywheel.data.encoder.encode import TableEncoder, check_columns
from noisyflywheel.data.encoder.missing import with_missing
from noisyflywheel.data.paths import user_path
from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.estimator.fitted.class_tables import class_summary


@dataclass(frozen=True, eq=False)
class TableAudit:
    """An audit with everything that a report shows.

    Attributes
    ----------
    issues : DataFrame of n rows
        `row` (1-based), `fingerprint`, then the columns of `get_label_issues`; the index is that of the data.
    judged : FlywheelClassifier or CrossValAudit
        What judged the labels.
    model : estimator
        Fitted on all rows; it takes rows as they were given.
    columns : DataFrame or None
        What each column was taken for (`TableEncoder.columns_`).
    findings : list of Finding
        Of the look before the training.
    warnings : list of str
        What the training warned of.
    """

    issues: pd.DataFrame
    judged: Any
    model: Any
    columns: pd.DataFrame | None = None
    findings: list[Finding] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        """Fitted attributes of what judged the labels: `classes_`, `transition_matrix_`, `clean_rate_` …"""
        if name.endswith("_") and not name.startswith("_"):
            return getattr(self.judged, name)
        raise AttributeError(name)

    def __repr__(self) -> str:
        """One line."""
        return audit_line(self)

    def get_label_issues(self) -> pd.DataFrame:
        """Table of labels, a copy."""
        return self.issues.copy()

    def get_class_summary(self) -> pd.DataFrame:
        """Table of classes."""
        clean_proba = pd.Series(self.clean_proba_, self.issues.index)
        return class_summary(self.issues, self.classes_, self.transition_matrix_, clean_proba)

    def get_params(self, deep: bool = False) -> dict[str, Any]:
        """Parameters of the classifier."""
        return dict(last_step(self.model).get_params(deep=False))


def audit_table(
    table: pd.DataFrame,
    label: Hashable,
    *,
    features: Collection[Hashable] | None = None,
    text: Collection[Hashable] = (),
    groups: Hashable | None = None,
    missing: Collection[str] = (),
    embedder: str | None = None,
    estimator: Any = None,
    cv: Any = None,
    random_state: int | None = 0,
    progress: bool = False,
    checkpoint: str | Path | None = None,
) -> TableAudit:
    """Judge each label of a table of mixed columns.

    Parameters
    ----------
    table : DataFrame of N rows
        Numbers, dates, categories and texts with missing values, as they are; `TableEncoder` makes features of them.
    label : column name
    features, text, embedder
        As in `TableEncoder`.
    groups : column name, optional
        Rows of one value belong together (a patient, a user): each is judged by models that saw none of its group.
        It is no feature. Without `cv`, five folds.
    missing : collection of str, default ()
        Text that stands for a missing cell, beside empty text, None and NaN; one text is one marker.
    estimator : classifier, optional
        Default `FlywheelClassifier(random_state=random_state)`. It is cloned; any but that one needs `cv`.
    cv : int, splitter or iterable, optional
        Judge by cross-validation; None judges by the fit on all rows. A PredefinedSplit and an iterable of folds
        number the N rows of the table, those without a label too.
    random_state : int, optional
    progress : bool, default False
        A bar with the time that is left on a terminal and in a notebook; elsewhere a line every ten seconds.
    checkpoint : str or Path, optional
        Folder from which the same call goes on after a stop.

    Returns
    -------
    audit : TableAudit
        For `write_report`, and with `issues` for `apply_corrections`; rows without a label are not in it, but count in
        `row`.

    Raises
    ------
    TypeError
        If the table is no pandas DataFrame, `missing` holds other than texts, or the estimator needs `cv`.
    ValueError
        For names that are no columns, labels without a name, groups that are the labels or fewer than folds, labels
        that are no classes, folds of other rows, or no column to learn from.
    """
    check_frame(table)
    check_columns(table, [label, *([groups] if groups is not None else [])])
    if label is None:
        raise ValueError("label=None: the column of the labels needs a name: give it one in table.columns")
    if groups == label:
        raise ValueError(f"groups={groups!r} is the column of the labels")
    whole = with_missing(table, missing)
    has = is_label(whole[label])
    if not has.any():
        raise ValueError(f"{label!r} holds no labels")
    labels = class_labels(whole[label][has])
    rows = whole[has]
    out = [label] if groups is None else [label, groups]
    encoder = TableEncoder(features=features, text=text, leave_out=out, embedder=embedder, missing=missing)
    X = encoder.fit_transform(rows)
    found = preflight(whole, label, encoder.plan_, groups, has)
    classifier = FlywheelClassifier(random_state=random_state) if estimator is None else clone(estimator)
    together = None if groups is None else rows[groups].astype(str).to_numpy()
    folds = 5 if cv is None and groups is not None else folds_among(cv, np.flatnonzero(has), len(table))
    judged, said = judge_rows(
        X,
        labels,
        classifier,
        folds,
        together,
        random_state,
        progress=None if progress else False,
        checkpoint=None if checkpoint is None else user_path(checkpoint),
    )
    issues = with_identity(judged.get_label_issues(), table, label, np.flatnonzero(has))
    return TableAudit(issues, judged, make_pipeline(encoder, classifier), encoder.columns_, found, said)
