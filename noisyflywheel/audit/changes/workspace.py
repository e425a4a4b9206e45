"""The folder of an audit: what lies in it, which file it came from, and what a person has edited since."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from noisyflywheel.audit.files.table_file import TableFile, first_line, guarded, open_table
from noisyflywheel.audit.rows.matching import read_issues
from noisyflywheel.data.encoder.encode import check_columns
from noisyflywheel.persistence.whole import replace_file

RECORD = "audit.json"
VERSION = 1


@dataclass(frozen=True)
class Origin:
    """Which file was judged, and how it was read.

    Attributes
    ----------
    table : str
        Its path, relative to the folder of the audit.
    label : str
        Column of the labels.
    delimiter, encoding : str or None
        Options of reading.
    missing : sequence of str
        Markers of missing cells.
    issues : str
        Name of the table of issues.
    issues_sha256 : str
        Its content as it was written.
    input : str
        The table or folder that was given, relative to the folder of the audit.
    options : dict
        Of `noisyflywheel audit`, for `noisyflywheel relearn`.
    version : int
    """

    table: str
    label: str
    delimiter: str | None = None
    encoding: str | None = None
    missing: Sequence[str] = ()
    issues: str = "issues.csv"
    issues_sha256: str = ""
    input: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    version: int = VERSION


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_origin(folder: Path, origin: Origin) -> None:
    """Write the record of an audit."""
    text = json.dumps(asdict(origin), indent=1, ensure_ascii=False) + "\n"
    replace_file(folder / RECORD, text.encode("utf-8", "backslashreplace"))  # JSON's form of a name that is no text


def load_origin(folder: Path) -> Origin:
    """Read the record of an audit.

    Raises
    ------
    ValueError
        If the folder holds none, or one that cannot be read or is of a later version.
    """
    path = folder / RECORD
    if not path.is_file():
        raise ValueError(f"{folder} is not the folder of an audit: it has no {RECORD}")
    try:
        record: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({first_line(error)}): audit again") from error
    if record.get("version") != VERSION:
        raise ValueError(f"{path} has version {record.get('version')}, this package reads version {VERSION}")
    record.pop("quote", None)  # of earlier versions, always the same
    try:
        return Origin(**record)
    except TypeError as error:
        raise ValueError(f"{path} is not the record of an audit: audit again") from error


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with forward slashes; absolute where there is no way."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def open_origin(folder: Path, origin: Origin, path: Path | None = None) -> TableFile:
    """The table that was judged, from its place or from another one.

    Raises
    ------
    ValueError
        If it is not there any more, or its labels are not.
    """
    path = folder / origin.table if path is None else path
    if not path.is_file():
        raise ValueError(f"{path}, the file that was judged, is not there; name its place with --input")
    file = open_table(path, delimiter=origin.delimiter, encoding=origin.encoding)
    try:
        check_columns(file.frame, [origin.label])
    except ValueError as error:
        raise ValueError(f"{path}, the file that was judged: {error}") from error
    return file


def open_issues(folder: Path, origin: Origin) -> pd.DataFrame:
    """The table of issues of an audit.

    Raises
    ------
    ValueError
        If it is not there any more.
    """
    path = folder / origin.issues
    if not path.is_file():
        raise ValueError(f"{path} is not there")
    return read_issues(path)


def issues_name(folder: Path, force: bool = False) -> str:
    """Name for a new table of issues: one that a person has edited, or of unknown origin, is never overwritten."""
    name, number = "issues.csv", 1
    last = load_origin(folder) if (folder / RECORD).is_file() else None
    while not force and (folder / name).exists():
        if last is not None and last.issues == name and sha256(folder / name) == last.issues_sha256:
            return name
        number += 1
        name = f"issues-{number}.csv"
    return name


class _Lines(io.StringIO):
    """CSV with lines that end in a line feed; told to end them in both signs, Python quotes cells with either one."""

    def write(self, line: str) -> int:
        """One line."""
        return super().write(line.removesuffix("\r\n") + "\n")


def csv_bytes(table: pd.DataFrame) -> bytes:
    """A table as CSV whose cells are safe to open in a spreadsheet; `read_issues` gives them back."""
    lines = _Lines(newline="")
    guarded(table).to_csv(lines, index=False, lineterminator="\r\n")
    return lines.getvalue().encode()
