"""Tables from and to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

RISKY = ("=", "+", "-", "@", "\t", "\r")
READABLE = (".csv", ".tsv", ".txt", ".parquet")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a .csv, .tsv, .txt or .parquet file; the separator is found in the first line.

    Raises
    ------
    ValueError
        If the file is empty, has no rows, cannot be parsed or is of another type; the message names it.
    OSError
        If it cannot be opened.
    """
    path = Path(path)
    if path.suffix.lower() not in READABLE:
        raise ValueError(f"{path}: expected a file that ends in {', '.join(READABLE)} or a folder of images")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")
    try:
        table = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {first_line(error)}") from error
    if table.empty:
        raise ValueError(f"{path} has no rows")
    return table


def _read_csv(path: Path) -> pd.DataFrame:
    """Delimited text in UTF-8, or in Windows' Western encoding where it is not UTF-8."""
    try:
        return _read_encoded(path, "utf-8-sig")
    except UnicodeDecodeError:
        return _read_encoded(path, "cp1252")


def _read_encoded(path: Path, encoding: str) -> pd.DataFrame:
    """Delimited text in one encoding; the separator is the commonest of four in the header."""
    with path.open(encoding=encoding, newline="") as file:
        head = next((line for line in file if line.strip()), "")
        file.seek(0)
        return pd.read_csv(file, sep=separator(head), low_memory=False)


def separator(head: str) -> str:
    """The commonest of comma, semicolon, tab and bar in the header; a comma if there is none."""
    return max(",;\t|", key=head.count)


def first_line(error: BaseException) -> str:
    """Message of an exception in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def guard_cell(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front; numbers stay.

    Texts that start with = + - @, a tab or a carriage return are guarded, unless they are plain numbers.
    """
    if not isinstance(cell, str) or not cell.startswith(RISKY):
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell


def guarded(table: pd.DataFrame) -> pd.DataFrame:
    """Copy of a table whose text cells and column names are safe to open in a spreadsheet."""
    safe = table.copy()
    for place, dtype in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_datetime64_any_dtype(dtype):
            column = safe.columns[place]
            safe = safe.assign(**{column: table.iloc[:, place].astype(object).map(guard_cell)})
    return safe.rename(columns=guard_cell)


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """Write a table as .parquet, or as CSV with guarded cells, by the name's ending."""
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        guarded(table).to_csv(path, index=False)
    return path
