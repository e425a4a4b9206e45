"""Which row is which: the number of a row in its file and a fingerprint of its content."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from noisyflywheel.data.encoder.names import EMPTY, OWN_COLUMNS

WHOLE, WHOLE_FLOAT = re.compile(r"[+-]?\d+"), re.compile(r"[+-]?\d+\.0")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[t ](\d\d:\d\d)(:\d\d)?(\.\d+)?(z|[+-]\d\d:?\d\d)?")
"""Date and time in the form of ISO 8601, in small letters."""
NAMELESS = re.compile(r"Unnamed: (\d+)(\.\d+)?")
"""What pandas calls a column without a name, counted from 0."""
MARK = "r"
"""What fingerprints begin with: a spreadsheet takes digits alone, or with an e among them, for a number."""


def check_frame(table: Any) -> None:
    """Raise TypeError for a table that is no pandas DataFrame."""
    if not isinstance(table, pd.DataFrame):
        kind = f"{type(table).__module__.partition('.')[0]}.{type(table).__name__}"
        raise TypeError(f"the table must be a pandas DataFrame, got {kind}: convert it, as its to_pandas() does")


def index_of(*tables: Any) -> pd.Index | None:
    """Index of the first argument that has one."""
    return next((t.index for t in tables if isinstance(t, pd.DataFrame | pd.Series)), None)


def label_text(value: Any) -> str:
    """A label as text: a whole float without its point, everything else as `str` writes it."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def class_text(value: Any, classes: Collection[str]) -> Any:
    """A label as the classes are written: where these are numbers, the text ``2.0`` is the class ``2``.

    pandas writes whole numbers like this beside fractions and missing cells. Where all classes are whole, so is a new
    one.
    """
    if not isinstance(value, str) or value in classes or not WHOLE_FLOAT.fullmatch(value):
        return value
    kind = NUMBER if value[:-2] in classes else WHOLE
    return value[:-2] if all(map(kind.fullmatch, classes)) else value


def is_label(column: pd.Series) -> NDArray[np.bool_]:
    """Mask of the cells of a column that are labels, of shape (n,): neither missing nor text of blanks alone."""
    blank = [isinstance(cell, str) and not cell.strip() for cell in column.astype(object)]
    return ~(column.isna().to_numpy(dtype=bool) | np.array(blank, dtype=bool))


def plain_cell(cell: Any) -> str:
    """A cell in the form that it has in every reader: as text, as a number, as a date, or missing.

    ``00510``, 510 and 510.0 are the same, so are ``NA`` and a missing value: reading with and without types agrees.
    """
    text = str(cell).strip().lower()
    if text in EMPTY:
        return ""
    if ":" in text and (found := TIME.fullmatch(text)):
        text = _plain_time(*found.groups(""))
    if text.endswith(" 00:00:00"):
        return text[:-9]
    if "," in text and DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return ""
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.6g}"


def _plain_time(day: str, minute: str, second: str, fraction: str, zone: str) -> str:
    """A date and time as pandas writes it, whatever ISO 8601 allows."""
    zone = "+00:00" if zone == "z" else f"{zone[:3]}:{zone[-2:]}" if zone else ""
    return f"{day} {minute}{second or ':00'}{fraction.rstrip('0').rstrip('.')}{zone}"


def row_fingerprints(table: pd.DataFrame, leave_out: Iterable[Hashable] = ()) -> NDArray[np.str_]:
    """An r and sixteen hexadecimal digits per row, of all cells but those of some columns.

    Parameters
    ----------
    table : DataFrame of n rows
    leave_out : iterable of column names
        The label column: a row stays the same row when its label changes. Our own columns are left out too.

    Returns
    -------
    fingerprints : ndarray of str of shape (n,)
        Equal for rows of equal content, in whatever order the columns are.
    """
    out = {str(name) for name in (*leave_out, *OWN_COLUMNS)}
    places = [i for i, name in enumerate(table.columns) if str(name) not in out]
    places.sort(key=lambda i: _name_in_files(str(table.columns[i])))
    if not places:
        return np.full(len(table), MARK + "0" * 16)
    plain = {str(order): _plain_column(table.iloc[:, i]) for order, i in enumerate(places)}
    hashes = pd.util.hash_pandas_object(pd.DataFrame(plain), index=False)
    return np.array([f"{MARK}{value:016x}" for value in hashes], dtype=np.str_)


def bare_fingerprint(fingerprint: Any) -> str:
    """A fingerprint without its first letter, which those of earlier versions do not have."""
    return str(fingerprint).removeprefix(MARK)


def _name_in_files(name: str) -> str:
    """Name of a column; one without a name is called by its number, as when a file is read here."""
    found = NAMELESS.fullmatch(name)
    return f"(column {int(found[1]) + 1})" if found else name


def row_hashes(table: pd.DataFrame | pd.Series) -> NDArray[np.integer[Any]]:
    """Hashes of the rows of a table, of shape (n,); where cells such as lists have none, of the cells as text."""
    try:
        return pd.util.hash_pandas_object(table, index=False).to_numpy()
    except (TypeError, NotImplementedError):  # the second of Arrow
        return pd.util.hash_pandas_object(table.astype(object).map(str), index=False).to_numpy()


def _plain_column(column: pd.Series) -> NDArray[Any]:
    """Cells of one column in their plain form, of shape (n,)."""
    gone = column.isna().to_numpy()
    codes, values = pd.factorize(column.astype(object).map(str), use_na_sentinel=False)
    plain = np.array([plain_cell(value) for value in values], dtype=object)[codes]
    plain[gone] = ""
    return plain
