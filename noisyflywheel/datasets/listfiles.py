"""List files of published data sets: lines, pairs of name and label, paths below the data's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath


def need(path: Path, what: str, kind: Callable[[Path], bool] = Path.is_file) -> Path:
    """Return the path of a file or folder that must exist; FileNotFoundError naming it and what it holds."""
    if not kind(path):
        raise FileNotFoundError(f"{path} is missing: {what}")
    return path


def read_lines(path: Path, what: str) -> list[str]:
    """Read the lines of a list file that are not blank; a mark of UTF-8 before the first is none of it.

    Raises
    ------
    FileNotFoundError, ValueError
        For a missing file, one that is no UTF-8 text, or one without any line; the message names it.
    """
    try:
        text = need(path, what).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text file: {error}") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{path} is empty: {what}")
    return lines


def read_pairs(path: Path, what: str, sep: str | None = None) -> list[tuple[str, str]]:
    """Read the first two fields of each line of a list; ValueError where one is missing.

    Without `sep` the last blank separates the two, so that a picture's name may hold blanks.
    """
    pairs = []
    for line in read_lines(path, what):
        fields = line.split(sep) if sep else line.rsplit(maxsplit=1)
        if len(fields) < 2:
            raise ValueError(f"{path}: expected a name and a label, got the line {line[:80]!r}")
        pairs.append((fields[0].strip(), fields[1].strip()))
    return pairs


def inside(key: str, path: Path) -> PurePosixPath:
    """Return a list's entry as a path below the data's folder; ValueError for one that leads out of it."""
    entry = PurePosixPath(key)
    if entry.is_absolute() or ".." in entry.parts:
        raise ValueError(f"{path} names a picture outside the data's folder: {key}")
    return entry
