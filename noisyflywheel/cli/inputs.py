"""What `noisyflywheel audit` reads, made ready to train on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyflywheel.audit.encode import ColumnPlan, make_encoder, plan_columns
from noisyflywheel.audit.files import read_table
from noisyflywheel.audit.folder import load_folder
from noisyflywheel.audit.text import as_texts, make_embedder

MAX_CLASS_SHARE = 0.5


@dataclass
class Job:
    """Labelled rows, how to encode them and how to show them.

    Attributes
    ----------
    table : DataFrame
        All rows as read, row names 0 … N-1.
    kept : ndarray of bool of shape (N,)
        Rows with a label; n of them are audited.
    label : str
        Name of the label column.
    labels : Series of shape (n,)
    X : array-like of n rows
        Before the encoder.
    encoder : transformer or None
    what : str
        The rows in words.
    shown : X of the report; texts : its texts, or None
    names : DataFrame of n rows
        What names a row in issues.csv.
    index : pandas.Index
        Row names of the file, put back on writing.
    notes : list of str
    """

    table: pd.DataFrame
    kept: np.ndarray
    label: str
    labels: pd.Series
    X: Any
    encoder: Any
    what: str
    shown: Any
    texts: list[str] | None
    names: pd.DataFrame
    index: pd.Index
    notes: list[str] = field(default_factory=list)

    def audited(self) -> pd.DataFrame:
        """Rows with a label, named 0 … n-1."""
        return self.table.loc[self.kept].reset_index(drop=True)

    def restored(self, cleaned: pd.DataFrame) -> pd.DataFrame:
        """Cleaned rows and those without label in the order of the file, under their names."""
        position = np.flatnonzero(self.kept)[cleaned.index.to_numpy()]
        rest = self.table.loc[~self.kept]
        whole = cleaned.set_axis(position)
        if len(rest):
            whole = pd.concat([whole, rest.reindex(columns=whole.columns)]).sort_index()
        return whole.set_axis(self.index[whole.index])


def check_labels(labels: pd.Series, name: str) -> None:
    """Refuse labels that no classifier can learn.

    Raises
    ------
    ValueError
        For fewer than two rows or classes, and for a column that looks like a measurement or an identifier.
    """
    n_classes = labels.nunique()
    if len(labels) < 2:
        raise ValueError(f"{name!r} has {len(labels)} labels; at least 2 rows are needed")
    if n_classes < 2:
        raise ValueError(f"{name!r} has one class only ({labels.iloc[0]!r}); at least 2 are needed")
    if n_classes > max(2, MAX_CLASS_SHARE * len(labels)):
        raise ValueError(f"{name!r} has {n_classes} values in {len(labels)} rows; that is no class label")


def whole_numbers(labels: pd.Series) -> pd.Series:
    """Labels that missing cells turned into floats (1.0, 2.0) as whole numbers again."""
    if labels.dtype.kind == "f" and (labels % 1 == 0).all():
        return labels.astype(np.int64)
    if labels.dtype.kind == "f":
        raise ValueError(f"{labels.name!r} holds measurements, not classes")
    if isinstance(labels.dtype, pd.CategoricalDtype):
        return labels.astype(labels.cat.categories.dtype)
    return labels.astype(str) if labels.dtype == object else labels


def table_job(path: Path, label: str, text: str | None, embedder: str | None, features: list[str] | None) -> Job:
    """Job of a .csv or .parquet file.

    Raises
    ------
    ValueError
        For a missing column, labels of one class, or no column to learn from.
    """
    table = read_table(path)
    index, table = table.index, table.reset_index(drop=True)
    table.columns = [str(name) for name in table.columns]
    _check_columns(table, [label, *([text] if text else []), *(features or [])])
    kept = table[label].notna().to_numpy()
    if not kept.any():
        raise ValueError(f"{label!r} holds no labels")
    rows = table.loc[kept].reset_index(drop=True)
    labels = whole_numbers(rows[label])
    check_labels(labels, label)
    if text is None and embedder is not None:
        raise ValueError("--embedder needs --text COLUMN")
    plan = _plan(table, label, text, features)
    encoder = make_encoder(plan, (text, make_embedder(embedder)) if text else None)
    names = pd.DataFrame({"row": np.flatnonzero(kept)})
    if not isinstance(index, pd.RangeIndex):
        names["index"] = index[kept].astype(str)
    shown = rows.drop(columns=label)[[*plan.used, *(c for c in rows if c not in plan.used and c != label)]]
    job = Job(table, kept, label, labels, rows, encoder, "", shown, None, names, index)
    job.texts = as_texts(rows[text]) if text else None
    job.what, job.notes = _describe(plan, text), _table_notes(plan, int((~kept).sum()), label)
    return job


def _plan(table: pd.DataFrame, label: str, text: str | None, features: list[str] | None) -> ColumnPlan:
    """Columns to learn from: with a text column only those that are named."""
    if text is not None and features is None:
        return ColumnPlan()
    others = table.drop(columns=[label, *([text] if text else [])])
    if features is not None:
        wanted = [name for name in features if name not in (label, text)]
        return plan_columns(others, wanted)
    return plan_columns(others)


def _check_columns(table: pd.DataFrame, wanted: list[str]) -> None:
    """Refuse names that are no columns."""
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        known = ", ".join(table.columns[:12]) + (", …" if table.shape[1] > 12 else "")
        raise ValueError(f"no column {missing[0]!r}; the columns are {known}")


def _describe(plan: ColumnPlan, text: str | None) -> str:
    """Features in words."""
    counts = (("number", plan.numbers), ("category", plan.categories), ("date", plan.dates))
    parts = [f"{len(names)} {kind} column{'s' * (len(names) > 1)}" for kind, names in counts if names]
    return ", ".join([*parts, *([f"texts of {text!r}"] if text else [])])


def _table_notes(plan: ColumnPlan, n_unlabelled: int, label: str) -> list[str]:
    """What the user should know about the reading."""
    notes = [f"column {name!r} is not used: {reason}" for name, reason in plan.left_out.items()]
    if n_unlabelled:
        notes.append(f"{n_unlabelled:,} rows without {label!r} are not judged; the cleaned file keeps them")
    return notes


def folder_job(folder: Path, size: int) -> Job:
    """Job of a folder of class subfolders with images.

    Raises
    ------
    ValueError
        For a folder without pictures or with one class.
    """
    manifest, pixels, unreadable = load_folder(folder, size)
    check_labels(manifest["label"], "label")
    notes = [f"skipped {name}: {reason}" for name, reason in unreadable]
    return Job(
        table=manifest,
        kept=np.ones(len(manifest), dtype=bool),
        label="label",
        labels=manifest["label"],
        X=pixels,
        encoder=None,
        what=f"images of {size} × {size} pixels",
        shown=pixels if size >= 48 else [folder / name for name in manifest["path"]],
        texts=None,
        names=manifest[["path"]],
        index=manifest.index,
        notes=notes,
    )
