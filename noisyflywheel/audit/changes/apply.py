"""Decisions applied to the file that was judged: a cleaned file, a log of every change, and a way back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from noisyflywheel.audit.changes.cleaned import cleaned_bytes, flagged_bytes, new_classes
from noisyflywheel.audit.changes.decisions import overruled_rows, planned_changes
from noisyflywheel.audit.changes.workspace import RECORD, Origin, csv_bytes, load_origin, open_issues, open_origin
from noisyflywheel.audit.files.table_file import endings
from noisyflywheel.audit.rows.matching import match_rows, read_issues
from noisyflywheel.persistence.whole import replace_file

LOG = "changes.csv"
BACKUP = "undo"
NAMES = "names.json"
"""In a folder of `BACKUP`: which files `apply_folder` wrote; those that were there before lie beside it."""


@dataclass(frozen=True)
class Applied:
    """What `apply_folder` wrote.

    Attributes
    ----------
    cleaned, log : Path
    changes : DataFrame
        As `planned_changes` returns them.
    new_classes : dict
        Number of changed labels of each class that the file did not have: mistyped ones too.
    overruled : list of int
        Rows with several decisions that differ; the last line counts.
    """

    cleaned: Path
    log: Path
    changes: pd.DataFrame
    new_classes: Mapping[str, int]
    overruled: Sequence[int]


def apply_folder(
    folder: Path,
    policy: str = "keep",
    min_confidence: float = 0.0,
    decisions: Path | None = None,
    table: Path | None = None,
) -> Applied:
    """Write the cleaned file and the log of an audit's folder; what they replace can be brought back.

    Parameters
    ----------
    folder : Path
        Of `noisyflywheel audit --out`.
    policy : {"keep", "drop", "refurbish", "flag"}, default "keep"
        For the suspects that nobody decided.
    min_confidence : float in [0, 1], default 0
    decisions : Path, optional
        Default `decisions.csv` in the folder, if it is there.
    table : Path, optional
        Place of the file that was judged, where it has moved.

    Returns
    -------
    applied : Applied

    Raises
    ------
    ValueError
        If the folder is no audit's, there is nothing to go by, the file has other rows by now, or flags would
        overwrite its labels.
    """
    origin = load_origin(folder)
    issues = open_issues(folder, origin)
    file = open_origin(folder, origin, table)
    match_rows(issues, file.frame, file.frame[origin.label], origin.label)
    made = _decisions(folder, decisions, policy)
    changes = planned_changes(issues, policy, min_confidence, made)
    if policy == "flag" and changes.empty:
        data = flagged_bytes(file, origin.label, issues, min_confidence, made)
    elif policy == "flag":
        raise ValueError("--policy flag marks suspects and cannot go with decisions that change rows")
    else:
        data = cleaned_bytes(file, origin.label, changes)
    cleaned = folder / f"cleaned{file.ending}"
    _put_away(folder, [cleaned, folder / LOG])
    replace_file(cleaned, data)
    log = replace_file(folder / LOG, csv_bytes(changes))
    overruled = [] if made is None else overruled_rows(made)
    return Applied(cleaned, log, changes, new_classes(file, origin.label, changes), overruled)


def _decisions(folder: Path, path: Path | None, policy: str) -> pd.DataFrame | None:
    """Decisions of a file; none only where a policy says what to do."""
    if path is None and (folder / "decisions.csv").is_file():
        path = folder / "decisions.csv"
    if path is not None:
        return read_issues(path)
    if policy == "keep":
        raise ValueError(
            f"{folder} has no decisions.csv: review first, save it there, or give a --policy for all suspects"
        )
    return None


def _put_away(folder: Path, paths: list[Path]) -> None:
    """Keep the files that are about to be written, as far as they are there, in the next numbered folder."""
    number = max((int(path.name) for path in (folder / BACKUP).glob("[0-9]*")), default=0) + 1
    place = folder / BACKUP / f"{number:04d}"
    place.mkdir(parents=True)
    (place / NAMES).write_text(json.dumps([path.name for path in paths]), encoding="utf-8")
    for path in paths:
        if path.exists():
            shutil.copy2(path, place / path.name)


def undo_folder(folder: Path) -> Path:
    """Take back the last `apply_folder`: the files that it replaced are as they were.

    Returns
    -------
    cleaned : Path
        The cleaned file that was taken back.

    Raises
    ------
    ValueError
        If nothing was applied, or everything was taken back.
    """
    origin, last = load_origin(folder), _last_backup(folder)
    if last is None:
        raise ValueError(f"nothing to undo in {folder}")
    written = [folder / name for name in _names(last, origin)]
    for path in written:
        if (last / path.name).exists():
            os.replace(last / path.name, path)
        else:
            path.unlink(missing_ok=True)
    shutil.rmtree(last)
    return written[0]


def undo_all(folder: Path) -> None:
    """Take back every `apply_folder` before another audit comes into the folder: its files are no step of that one."""
    while (folder / RECORD).is_file() and _last_backup(folder) is not None:
        undo_folder(folder)


def _last_backup(folder: Path) -> Path | None:
    """Where the files lie that the last `apply_folder` replaced."""
    return max((folder / BACKUP).glob("[0-9]*"), default=None)


def _names(place: Path, origin: Origin) -> list[str]:
    """Files that were written when `place` was made, the cleaned one first; earlier versions did not note them."""
    if (place / NAMES).is_file():
        return [str(name) for name in json.loads((place / NAMES).read_text(encoding="utf-8"))]
    return [f"cleaned{''.join(endings(Path(origin.table)))}", LOG]
