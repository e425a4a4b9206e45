"""The cleaned file: the file that was judged, with its labels changed, rows cut out or marks added, nothing else."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from noisyflywheel.audit.changes.corrections import typed_labels
from noisyflywheel.audit.changes.decisions import undecided_suspects
from noisyflywheel.audit.files.table_file import TableFile
from noisyflywheel.audit.rows.identity import label_text
from noisyflywheel.data.encoder.names import OWN_COLUMNS


def cleaned_bytes(file: TableFile, label: str, changes: pd.DataFrame) -> bytes:
    """The file after some changes.

    Parameters
    ----------
    file : TableFile
    label : str
        Column of the labels.
    changes : DataFrame
        As `planned_changes` returns it.
    """
    lines = changes[changes["action"] == "set"]
    positions = lines["row"].to_numpy(dtype=np.intp) - 1
    values = _labels_of(file, label, lines["to"])
    dropped = changes.loc[changes["action"] == "drop", "row"].to_numpy(dtype=np.intp) - 1
    new = {int(at): value for at, value in zip(positions, values, strict=True)}
    return file.rendered({label: new} if new else {}, [int(at) for at in dropped])


def new_classes(file: TableFile, label: str, changes: pd.DataFrame) -> dict[str, int]:
    """Number of changes to each class that the labels of a file do not have, the most frequent first.

    Parameters
    ----------
    file : TableFile
    label : str
        Column of the labels.
    changes : DataFrame
        As `planned_changes` returns it.
    """
    known = {label_text(value) for value in file.frame[label].dropna().unique()}
    set_to = _labels_of(file, label, changes.loc[changes["action"] == "set", "to"])
    return dict(Counter(text for text in map(label_text, set_to) if text not in known).most_common())


def check_flags(label: str) -> None:
    """Refuse a label column that flags would overwrite.

    Raises
    ------
    ValueError
    """
    if label in OWN_COLUMNS:
        raise ValueError(f"--policy flag would overwrite the labels in {label!r}: rename it, or take another --policy")


def flagged_bytes(
    file: TableFile,
    label: str,
    issues: pd.DataFrame,
    min_confidence: float = 0.0,
    decisions: pd.DataFrame | None = None,
) -> bytes:
    """The file with the columns `is_label_issue`, `label_quality` and `suggested_label`; those it has are filled anew.

    Parameters
    ----------
    file : TableFile of N rows
    label : str
        Column of the labels.
    issues : DataFrame
        With a column `row`; the cells of rows that were not judged are empty.
    min_confidence : float in [0, 1], default 0
    decisions : DataFrame, optional
        Rows that they are about are no issue.

    Raises
    ------
    ValueError
        If the label column has one of these names.
    """
    check_flags(label)
    at = issues["row"].to_numpy(dtype=np.intp) - 1
    empty = "" if file.is_text else None
    columns: dict[str, list[Any]] = {name: [empty] * len(file.frame) for name in OWN_COLUMNS}
    flags = undecided_suspects(issues, min_confidence, decisions)
    others = _labels_of(file, label, issues["refurbished_label"])
    for place, flag, quality, other in zip(at, flags, issues["label_quality"], others, strict=True):
        cells = (bool(flag), round(float(quality), 6), other)
        for name, cell in zip(OWN_COLUMNS, cells, strict=True):
            columns[name][place] = cell
    there = {name: dict(enumerate(cells)) for name, cells in columns.items() if name in file.frame.columns}
    added = {name: cells for name, cells in columns.items() if name not in there}
    return file.rendered(there, (), added)


def _labels_of(file: TableFile, label: str, values: pd.Series) -> list[Any]:
    """Labels as the file writes its own, in Python's types."""
    known = file.frame[label]
    typed = typed_labels(list(values), known[known != ""])
    return [value.item() if isinstance(value, np.generic) else value for value in typed]
