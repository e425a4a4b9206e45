"""What `noisyflywheel audit` reads, made ready to train on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from noisyflywheel.audit.checks.preflight import Finding, preflight
from noisyflywheel.audit.checks.same_pictures import same_pictures
from noisyflywheel.audit.files.delimited import DelimitedFile
from noisyflywheel.audit.files.folder import image_manifest, left_out, load_folder, metadata_file
from noisyflywheel.audit.files.table_file import TableFile, open_table
from noisyflywheel.audit.rows.identity import is_label
from noisyflywheel.audit.scores.class_labels import class_labels
from noisyflywheel.data.encoder.encode import TableEncoder, check_columns
from noisyflywheel.data.encoder.missing import with_missing
from noisyflywheel.data.encoder.text import as_texts

MAX_NOTES = 3
"""Notes that an error names."""


@dataclass(frozen=True)
class Reading:
    """Options of reading.

    Attributes
    ----------
    label : str or None
        Column of the labels; of a folder that of its metadata, "label" if None.
    text, groups, embedder : str or None
    features : list of str or None
    missing : tuple of str
        Text that stands for a missing cell.
    delimiter, encoding : str or None
    image_size : int
        Side of pictures in pixels.
    """

    label: str | None = None
    text: str | None = None
    groups: str | None = None
    embedder: str | None = None
    features: list[str] | None = None
    missing: tuple[str, ...] = ()
    delimiter: str | None = None
    encoding: str | None = None
    image_size: int = 32


@dataclass
class Job:
    """Labelled rows, how to encode them and how to show them.

    Attributes
    ----------
    file : TableFile
        What is written back with the labels changed: the table, or the manifest of a folder.
    label : str
        Column of the labels in that file.
    has : bool ndarray of shape (N,)
        Rows of the file that are judged; n of them.
    labels : Series of shape (n,)
    X : ndarray of n rows
        Ready for the classifier.
    encoder : TableEncoder or None
        Fitted.
    what : str
        The rows in words.
    shown : X of the report; texts : its texts, or None
    names : DataFrame of n rows
        What names a row in issues.csv beside its number.
    findings : list of Finding
    groups : ndarray of str of shape (n,), or None
    notes : list of str
    """

    file: TableFile
    label: str
    has: np.ndarray
    labels: pd.Series
    X: np.ndarray
    encoder: TableEncoder | None
    what: str
    shown: Any
    texts: list[str] | None
    names: pd.DataFrame
    findings: list[Finding]
    groups: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def positions(self) -> np.ndarray:
        """Positions in the file of the rows that are judged, of shape (n,)."""
        return np.flatnonzero(self.has)


def table_job(path: Path, reading: Reading) -> Job:
    """Job of a table.

    Raises
    ------
    ValueError
        For a missing column, labels of one class, or no column to learn from.
    """
    if reading.text is None and reading.embedder is not None:
        raise ValueError("--embedder needs --text COLUMN")
    file = open_table(path, delimiter=reading.delimiter, encoding=reading.encoding)
    table, label = _table(file, reading), str(reading.label)
    has = is_label(table[label])
    if not has.any():
        raise ValueError(f"{label!r} holds no labels")
    rows, encoder = table[has], _encoder(reading, label)
    labels = class_labels(rows[label]).reset_index(drop=True)
    X = encoder.fit_transform(rows)
    used = [str(column.name) for column in encoder.plan_ if column.kind != "left out"]
    return Job(
        file=file,
        label=label,
        has=has,
        labels=labels,
        X=X,
        encoder=encoder,
        what=f"{X.shape[1]} feature{'s' * (X.shape[1] > 1)} of {len(used)} column{'s' * (len(used) > 1)}",
        shown=_shown(rows, used, label),
        texts=None if reading.text is None else as_texts(rows[reading.text]),
        names=pd.DataFrame(index=range(len(rows))),
        findings=preflight(table, label, encoder.plan_, reading.groups, has),
        groups=None if reading.groups is None else rows[reading.groups].astype(str).to_numpy(),
    )


def _table(file: TableFile, reading: Reading) -> pd.DataFrame:
    """Rows with None for what is missing; the columns that were named are there."""
    table = with_missing(file.frame.set_axis([str(name) for name in file.frame], axis=1), reading.missing)
    named = [name for name in (reading.label, reading.text, reading.groups) if name is not None]
    check_columns(table, [*named, *(reading.features or [])])
    return table


def _shown(rows: pd.DataFrame, used: list[str], label: str) -> pd.DataFrame:
    """What the report shows of a row: the columns that were learnt from, then the others."""
    return rows[[*used, *(name for name in rows if name not in used and name != label)]].reset_index(drop=True)


def _encoder(reading: Reading, label: str) -> TableEncoder:
    """Encoder of the columns; with a text column it learns from this, and from features that are named."""
    text = [] if reading.text is None else [reading.text]
    features = reading.features if reading.features is not None or not text else []
    out = [label, *([reading.groups] if reading.groups else [])]
    if features is not None:
        features = [name for name in features if name not in out]
    return TableEncoder(features=features, text=text, leave_out=out, embedder=reading.embedder, missing=reading.missing)


def folder_job(folder: Path, reading: Reading) -> Job:
    """Job of a folder of pictures.

    Raises
    ------
    ValueError
        For a folder without pictures or with one class.
    """
    label = reading.label or "label"
    manifest = image_manifest(folder, label, reading.encoding)
    described = metadata_file(folder)
    file = _manifest_file(manifest) if described is None else open_table(described, encoding=reading.encoding)
    manifest = with_missing(manifest, reading.missing)
    labelled = manifest[is_label(manifest["label"])]
    readable, pixels, unreadable = load_folder(folder, reading.image_size, labelled)
    has = manifest["path"].isin(readable["path"]).to_numpy() & is_label(manifest["label"])
    judged = manifest[has].reset_index(drop=True)
    names = judged.drop(columns="label")
    notes = [*left_out(folder, manifest), *(f"skipped {name}: {reason}" for name, reason in unreadable)]
    return Job(
        file=file,
        label="label" if described is None else label,
        has=has,
        labels=_picture_labels(judged["label"].rename(label), notes),
        X=pixels,
        encoder=None,
        what=f"images of {reading.image_size} × {reading.image_size} pixels",
        shown=pixels if reading.image_size >= 48 else [folder / name for name in names["path"]],
        texts=None,
        names=names,
        findings=[*preflight(manifest[["label"]], "label"), *same_pictures(folder, manifest)],
        notes=notes,
    )


def _picture_labels(labels: pd.Series, notes: list[str]) -> pd.Series:
    """Labels as `class_labels` checks them; an error names what was left out, which may be why."""
    try:
        return class_labels(labels)
    except ValueError as error:
        about = "; ".join([*notes[:MAX_NOTES], *(["…"] if len(notes) > MAX_NOTES else [])])
        raise ValueError(f"{error}" + f" ({about})" * bool(notes)) from error


def _manifest_file(manifest: pd.DataFrame) -> TableFile:
    """The list of pictures as a file of ours; it is written beside the findings."""
    source = DelimitedFile(manifest.to_csv(index=False, lineterminator="\n").encode())
    return TableFile(Path("manifest.csv"), source, source.frame())
