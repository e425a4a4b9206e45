"""Pictures that lie in a folder more than once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from noisyflywheel.audit.checks.preflight import Finding


def same_pictures(folder: str | Path, manifest: pd.DataFrame) -> list[Finding]:
    """Files of equal content that lie in several splits, or in several classes.

    Parameters
    ----------
    folder : str or Path
    manifest : DataFrame
        As `image_manifest` lists it; files that cannot be opened are skipped.
    """
    marks = manifest["path"].map(lambda name: _content(Path(folder) / name))
    table = manifest.assign(mark=marks, row=np.arange(len(manifest)) + 1)
    table = table[table["mark"].notna() & table["label"].notna()]
    found = []
    for column, kind, what in (
        ("label", "contradiction", "under different labels"),
        ("split", "splits", "in several splits"),
    ):
        if column in table:
            twice = table[table.groupby("mark")[column].transform("nunique") > 1].sort_values(["mark", "row"])
            if len(twice):
                text = f"{len(twice):,} files, {twice['mark'].nunique():,} different ones, lie {what}."
                found.append(Finding(kind, text, tuple(int(row) for row in twice["row"])))
    return found


def _content(path: Path) -> str | None:
    """SHA-256 of a file, or None if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None
