"""Labelled tables in files: read for an audit, written back with the labels changed and nothing else."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from noisyflywheel.audit.files.binary_tables import ExcelFile, ParquetFile
from noisyflywheel.audit.files.delimited import DelimitedFile
from noisyflywheel.audit.files.json_rows import JsonFile
from noisyflywheel.audit.files.rewritable import Cells, Columns, Rewritable, needs
from noisyflywheel.data.paths import user_path

DELIMITED = (".csv", ".tsv", ".txt")
JSON = (".json", ".jsonl", ".ndjson")
COMPRESSED = (".gz", ".zst")
READABLE = (*DELIMITED, ".parquet", ".xlsx", *JSON)
RISKY = ("=", "+", "-", "@", "\t", "\r")
PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class TableFile:
    """A table with the file that it came from.

    Attributes
    ----------
    path : Path
    source : Rewritable
        The parsed file.
    frame : DataFrame
        Its rows; cells of text files are text as it stands there, whatever it looks like.
    """

    path: Path
    source: Rewritable
    frame: pd.DataFrame

    @property
    def is_text(self) -> bool:
        """Whether every cell is text, and a missing one empty text."""
        return isinstance(self.source, DelimitedFile)

    @property
    def ending(self) -> str:
        """Ending of the name, that of a compression with it: ``.csv``, ``.csv.gz``."""
        return "".join(endings(self.path))

    def rendered(self, changes: Cells, dropped: Sequence[int] = (), added: Columns | None = None) -> bytes:
        """Bytes of the file with other cells in some rows, without others, and with more columns."""
        return _compress(self.source.rendered(changes, dropped, added), self.path)


def endings(path: Path) -> tuple[str, str]:
    """Ending that names the format, and that of the compression, both in small letters; empty where there is none."""
    last = path.suffix.lower()
    return (Path(path.stem).suffix.lower(), last) if last in COMPRESSED else (last, "")


def open_table(path: str | Path, *, delimiter: str | None = None, encoding: str | None = None) -> TableFile:
    """Read a table that can be written back exactly.

    Parameters
    ----------
    path : str or Path
        A .csv, .tsv, .txt, .json (a list of objects), .jsonl, .parquet or .xlsx file, also with .gz or .zst behind.
    delimiter, encoding : str, optional
        Of a text file; found by looking at it where not given.

    Raises
    ------
    ValueError
        If the file is empty, has no rows, cannot be parsed or is of another type; the message names it.
    ImportError
        If the format needs a package that is not installed; the message names the extra.
    OSError
        If it cannot be opened.
    """
    path = user_path(path)
    kind = endings(path)[0]
    if kind not in READABLE:
        raise ValueError(f"{path}: expected a file that ends in {', '.join(READABLE)} or a folder of images")
    data = path.read_bytes()
    if not data:
        raise ValueError(f"{path} is empty")
    try:
        source = _parser(kind, delimiter, encoding)(_decompress(data, path))
    except (OSError, MemoryError, ImportError) as error:
        if isinstance(error, gzip.BadGzipFile):
            raise ValueError(f"{path} cannot be read: {first_line(error)}") from error
        raise
    except Exception as error:
        raise ValueError(f"{path} cannot be read: {first_line(error)}") from error
    frame = source.frame()
    if frame.empty:
        raise ValueError(f"{path} has no rows")
    return TableFile(path, source, frame)


def _parser(kind: str, delimiter: str | None, encoding: str | None) -> Callable[[bytes], Rewritable]:
    """Reader of a format."""
    if kind in DELIMITED:
        return lambda data: DelimitedFile(data, delimiter, encoding)
    if kind in JSON:
        return lambda data: JsonFile(data, encoding)
    return ParquetFile if kind == ".parquet" else ExcelFile


def _zstandard() -> Any:
    """The package for .zst files."""
    try:
        import zstandard
    except ImportError as error:
        raise needs("zstandard", "zstd", "a .zst file") from error
    return zstandard


def _decompress(data: bytes, path: Path) -> bytes:
    """Content of a compressed file."""
    pressed = endings(path)[1]
    if pressed == ".gz":
        return gzip.decompress(data)
    if pressed == ".zst":
        with _zstandard().ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True) as stream:
            return bytes(stream.read())
    return data


def _compress(data: bytes, path: Path) -> bytes:
    """Content as the file was compressed; without a time, so that the same content gives the same bytes."""
    pressed = endings(path)[1]
    if pressed == ".gz":
        return gzip.compress(data, mtime=0)
    return bytes(_zstandard().ZstdCompressor().compress(data)) if pressed == ".zst" else data


def first_line(error: BaseException) -> str:
    """Message of an exception in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def guard_cell(cell: Any) -> Any:
    """A text that a spreadsheet would run as a formula gets an apostrophe in front; numbers stay.

    Texts that start with = + - @, a tab or a carriage return are guarded, unless they are plain numbers. So is one
    that already has such an apostrophe, so that `unguard_cell` gives every text back. The script of the report does
    the same.
    """
    risky = isinstance(cell, str) and cell.lstrip("'").startswith(RISKY) and not PLAIN_NUMBER.fullmatch(cell)
    return "'" + cell if risky else cell


def unguard_cell(cell: Any) -> Any:
    """The text that `guard_cell` guarded."""
    guarded = isinstance(cell, str) and cell.startswith("'") and guard_cell(cell[1:]) == cell
    return cell[1:] if guarded else cell


def guarded(table: pd.DataFrame) -> pd.DataFrame:
    """Copy of a table whose text cells and column names are safe to open in a spreadsheet."""
    safe = table.copy()
    for place, dtype in enumerate(table.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_datetime64_any_dtype(dtype):
            column = safe.columns[place]
            safe = safe.assign(**{column: table.iloc[:, place].astype(object).map(guard_cell)})
    return safe.rename(columns=guard_cell)
