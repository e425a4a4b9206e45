"""What the columns of a table hold: numbers in any notation, dates, categories, free text, or nothing to learn from."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types

from noisyflywheel.data.encoder.names import EMPTY, OWN_COLUMNS
from noisyflywheel.data.encoder.notation import DURATIONS, NUMBERS, decoded, number_form, read_number

Kind = Literal["number", "date", "category", "text", "left out"]
MOSTLY = 0.95
MAX_CATEGORIES = 50
OBJECTS = "holds lists or objects"
SAMPLE = 5000
ROW_NAMES = ("row names", "(row names)", "index", "unnamed: 0", "row", "rowid")
ID_NAME = re.compile(r"(^|[\W_])(id|key|uuid|guid)$|[a-z]I[dD]$")
CODE = re.compile(r"0\d+")
DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}(?:[ T].*)?"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T].*)?"
    r"|\d{1,2}\.? ?[A-Za-zäé]{3,9}\.? \d{4}.*"
    r"|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}.*"
)
WORD = re.compile(r"\w")
REMARKS = {"comma": "decimal comma", "thousands": "points mark thousands", "truth": ""}


@dataclass(frozen=True)
class Column:
    """What one column is taken for.

    Attributes
    ----------
    name : hashable
    kind : {"number", "date", "category", "text", "left out"}
    missing : float
        Share of missing cells, in [0, 1].
    form : {"", "comma", "thousands", "truth", "day first"}
        Notation of numbers or dates where it is not the plain one.
    reason : str
        Why the column is left out, or what else is to know.
    """

    name: Hashable
    kind: Kind
    missing: float
    form: str = ""
    reason: str = ""


def is_missing(column: pd.Series) -> pd.Series:
    """Mask of the cells without a value: None, NaN, NaT, or empty text."""
    gone = column.isna()
    if types.is_numeric_dtype(column.dtype):
        return gone
    return gone | np.array([isinstance(cell, str) and not cell for cell in column.astype(object)], dtype=bool)


def plan_column(column: pd.Series, name: Hashable, wanted: bool = False, text: bool = False) -> Column:
    """Decide what a column holds.

    Parameters
    ----------
    column : Series of shape (n,)
    name : hashable
    wanted : bool, default False
        The user named it: identifiers and row numbers are used too.
    text : bool, default False
        The user says that it is text.
    """
    gone = is_missing(column)
    share, seen = float(gone.mean()) if len(column) else 0.0, column[~gone]
    if text:
        return Column(name, "text", share)
    if not wanted and str(name) in OWN_COLUMNS:
        return Column(name, "left out", share, reason="result of an earlier audit")
    if seen.empty:
        return Column(name, "left out", share, reason="empty")
    try:
        n_values = seen.nunique()
    except (TypeError, NotImplementedError):  # the second of Arrow
        return Column(name, "left out", share, reason=OBJECTS)
    if n_values == 1 and not gone.any():
        return Column(name, "left out", share, reason="one value only")
    kind, form = kind_of_values(seen)
    if kind in ("number", "date") and not (_is_typed(seen) and seen.dtype.kind != "f"):
        read = read_numbers if kind == "number" else read_dates
        share = float(read(column, form).isna().mean())
    if not wanted and (reason := _identifies(column, seen, n_values, name, kind)):
        return Column(name, "left out", share, reason=reason)
    if kind == "category" and n_values > max(10, 0.5 * len(seen)) and reads_like_text(seen):
        return Column(name, "text", share, reason="looks like free text")
    many = kind == "category" and n_values > MAX_CATEGORIES
    return Column(name, kind, share, form, f"{n_values:,} values; the rare ones are one" if many else "")


def kind_of_values(seen: pd.Series) -> tuple[Kind, str]:
    """Kind and notation of values that are not missing."""
    if isinstance(seen.dtype, pd.CategoricalDtype):
        return "category", ""
    if types.is_bool_dtype(seen.dtype):
        return "number", "truth"
    if _is_typed(seen):
        return ("date" if types.is_datetime64_any_dtype(seen.dtype) else "number"), ""
    cells = pd.Series([decoded(cell) for cell in some_cells(seen).astype(object)], dtype=object)
    if all(isinstance(cell, (*NUMBERS, *DURATIONS)) for cell in cells):
        return "number", "truth" if all(isinstance(cell, bool) for cell in cells) else ""
    texts = cells.astype(str).str.strip()
    texts = texts[~texts.str.lower().isin(EMPTY)]
    if texts.empty or texts.map(lambda cell: bool(CODE.fullmatch(cell))).any():
        return "category", ""
    form = number_form(texts)
    if read_numbers(texts, form).notna().mean() >= MOSTLY:
        return "number", form
    if texts.map(lambda cell: bool(DATE.fullmatch(cell))).mean() >= MOSTLY:
        form = date_form(texts)
        if read_dates(texts, form).notna().mean() >= MOSTLY:
            return "date", form
    return "category", ""


def _is_typed(column: pd.Series) -> bool:
    """Whether the type of a column says that it holds numbers or dates."""
    checks = (types.is_datetime64_any_dtype, types.is_numeric_dtype, _is_duration)
    return any(check(column.dtype) for check in checks)


def _is_duration(dtype: Any) -> bool:
    """Whether a type is numpy's or Arrow's of durations."""
    return bool(dtype.kind == "m")


def reads_like_text(seen: pd.Series) -> bool:
    """Whether cells are phrases rather than names: three words and more on average, and not signs alone."""
    texts = [str(cell) for cell in some_cells(seen)]
    return bool(np.mean([len(text.split()) for text in texts]) >= 3) and any(map(WORD.search, texts))


def some_cells(seen: pd.Series) -> pd.Series:
    """Up to `SAMPLE` cells of a column, evenly spaced."""
    return seen.iloc[:: max(1, -(-len(seen) // SAMPLE))]


def _identifies(column: pd.Series, seen: pd.Series, n_values: int, name: Hashable, kind: str) -> str:
    """Why a column only names its rows, or an empty string: its values say nothing, but may leak the order."""
    if len(seen) < 3 or n_values < len(seen) or len(seen) < len(column):
        return ""
    called = str(name).strip()
    named = called.lower() in ROW_NAMES or bool(ID_NAME.search(called)) or called.lower() == "id"
    if kind == "number":
        steps = np.diff(read_numbers(seen, "").to_numpy())
        counts = (steps > 0).all() and (steps == 1).mean() >= 0.9
        return "row number" if counts else "identifier" if named else ""
    if kind != "category":
        return ""
    return "identifier" if named or (len(seen) > 20 and not reads_like_text(seen)) else ""


def read_numbers(column: pd.Series, form: str = "") -> pd.Series:
    """A column as float64; what is no number, and infinite values, become missing."""
    if _is_duration(column.dtype):
        return column.dt.total_seconds()
    if types.is_numeric_dtype(column.dtype):
        numbers = column.astype("float64")
    else:
        values = column.astype(object)
        table = {cell: read_number(cell, form) for cell in values[~values.isna()].unique()}
        numbers = values.map(table.get).astype("float64")  # pandas has no index of float16, which a dict becomes
    return numbers.where(np.isfinite(numbers))


def date_form(texts: pd.Series) -> str:
    """ "day first" for dates such as 31.12.2024 and 31/12/2024."""
    parts = texts.str.extract(r"^(\d{1,2})([-/.])(\d{1,2})[-/.]\d{2,4}")
    first, second = (pd.to_numeric(parts[place], errors="coerce") for place in (0, 2))
    dotted = (parts[1] == ".").mean() > 0.5
    return "day first" if not (second > 12).any() and ((first > 12).any() or dotted) else ""


def read_dates(column: pd.Series, form: str = "") -> pd.Series:
    """Dates without a zone, of periods their first; what cannot be read, and a number, becomes missing.

    Those of a column with one zone are what its clocks say, others are in UTC.
    """
    if getattr(getattr(column.dtype, "pyarrow_dtype", column.dtype), "tz", None) is not None:
        column = column.dt.tz_localize(None)
    if column.dtype.kind != "M" and not isinstance(column.dtype, pd.StringDtype):
        column = column.astype(object).map(_date_of_cell)
    dates = pd.to_datetime(column, errors="coerce", format="mixed", utc=True, dayfirst=form == "day first")
    return dates.dt.tz_localize(None)


def _date_of_cell(cell: Any) -> Any:
    """What pandas reads as a date; None for a number, whose unit nobody knows, and a period's first day."""
    if isinstance(cell, NUMBERS):
        return None
    return cell.to_timestamp() if isinstance(cell, pd.Period) else decoded(cell)


def plan_columns(
    table: pd.DataFrame,
    features: Collection[Hashable] | None = None,
    text: Collection[Hashable] = (),
    leave_out: Collection[Hashable] = (),
) -> list[Column]:
    """What each column of a table is taken for, in the order of the table.

    Parameters
    ----------
    table : DataFrame
    features : collection of column names, optional
        The columns that the user wants; all others are left out. None looks at every column.
    text : collection of column names, default ()
        Columns of texts.
    leave_out : collection of column names, default ()
        The label, groups.
    """
    plan = []
    for name in table.columns:
        if name in leave_out:
            continue
        if name in text:
            plan.append(plan_column(table[name], name, text=True))
        elif features is not None and name not in features:
            share = float(is_missing(table[name]).mean())
            plan.append(Column(name, "left out", share, reason="not among the features"))
        else:
            plan.append(plan_column(table[name], name, wanted=features is not None))
    return plan


def plan_table(plan: list[Column]) -> pd.DataFrame:
    """A plan to print: `column`, `taken_as`, `share_missing` in [0, 1], `remark`."""
    rows = [(str(c.name), c.kind, c.missing, c.reason or REMARKS.get(c.form, c.form)) for c in plan]
    return pd.DataFrame(rows, columns=["column", "taken_as", "share_missing", "remark"])
