"""A mixed table as numbers, by scikit-learn's transformers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

MOSTLY = 0.95
MAX_CATEGORIES = 50
MISSING = "(missing)"


@dataclass(frozen=True)
class ColumnPlan:
    """What each column of a table is taken for.

    Attributes
    ----------
    numbers, categories, dates : list of column names
    left_out : dict from column name to the reason in words
    """

    numbers: list[str] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def used(self) -> list[str]:
        """Columns that become features."""
        return [*self.numbers, *self.categories, *self.dates]


def plan_columns(table: pd.DataFrame, columns: Iterable[str] | None = None) -> ColumnPlan:
    """Decide for each column whether it holds numbers, categories or dates.

    Columns of one value, identifiers and free text are left out unless `columns` names them.

    Parameters
    ----------
    table : DataFrame
    columns : iterable of str, optional
        The features the user wants; all columns if None.
    """
    plan = ColumnPlan()
    for name in table.columns if columns is None else columns:
        kind, reason = column_kind(table[name], name, strict=columns is None)
        if reason:
            plan.left_out[name] = reason
        else:
            getattr(plan, kind).append(name)
    return plan


def column_kind(column: pd.Series, name: Any, strict: bool = True) -> tuple[str, str]:
    """Kind of a column ("numbers", "categories", "dates"), and why it should be left out ("" = it stays)."""
    seen = column.dropna()
    if seen.empty:
        return "numbers", "empty"
    try:
        n_values = seen.nunique()
    except TypeError:
        return "categories", "holds lists or objects"
    if n_values == 1 and not column.isna().any():
        return "categories", "one value only"
    kind = _kind_of_values(seen)
    if strict and kind == "numbers" and _is_row_number(column, name):
        return kind, "row number"
    if strict and kind == "categories" and n_values > max(MAX_CATEGORIES, 0.5 * len(seen)):
        return kind, "free text or identifier; name it with --text or --features to use it"
    return kind, ""


def _kind_of_values(seen: pd.Series) -> str:
    """Kind of the values that are not missing."""
    if types.is_datetime64_any_dtype(seen.dtype):
        return "dates"
    if types.is_numeric_dtype(seen.dtype) or types.is_timedelta64_dtype(seen.dtype):
        return "numbers"
    if isinstance(seen.dtype, pd.CategoricalDtype):
        return "categories"
    if pd.to_numeric(seen, errors="coerce").notna().mean() >= MOSTLY:
        return "numbers"
    text = seen.astype(str).head(2000)
    dated = text.str.contains(r"\d{1,4}[-/.]\d{1,2}", regex=True)
    if dated.mean() >= MOSTLY and as_dates(text).notna().mean() >= MOSTLY:
        return "dates"
    return "categories"


def _is_row_number(column: pd.Series, name: Any) -> bool:
    """Whether a column only counts the rows: its values say nothing, but may leak the order of the file."""
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.isna().any() or not numbers.is_unique or len(numbers) < 3:
        return False
    steps = np.diff(numbers.to_numpy(dtype=np.float64))
    named = str(name).strip().lower() in ("id", "index", "row", "rowid", "row_id", "unnamed: 0")
    return bool((steps == 1).all() or named)


def as_dates(column: pd.Series) -> pd.Series:
    """Dates without a zone; what cannot be read becomes missing."""
    dates = pd.to_datetime(column, errors="coerce", format="mixed", utc=True)
    return dates.dt.tz_localize(None)


def numbers_of(table: pd.DataFrame) -> np.ndarray:
    """Columns as float64 (n, d); text that is no number, and infinite values, become missing."""

    def convert(column: pd.Series) -> pd.Series:
        if types.is_timedelta64_dtype(column.dtype):
            return column.dt.total_seconds()
        return pd.to_numeric(column, errors="coerce").astype("float64")

    values = table.apply(convert).to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def categories_of(table: pd.DataFrame) -> np.ndarray:
    """Columns as text (n, d); missing values are a category of their own."""
    return table.astype(object).where(table.notna(), MISSING).astype(str).to_numpy(dtype=object)


def date_features(table: pd.DataFrame) -> np.ndarray:
    """Per date column days since 1970, place in the year as a circle, weekday and hour; shape (n, 5 d)."""
    parts = []
    for name in table.columns:
        dates = as_dates(table[name])
        angle = 2 * np.pi * dates.dt.day_of_year / 365.25
        days = (dates - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
        parts += [days, np.sin(angle), np.cos(angle), dates.dt.day_of_week, dates.dt.hour]
    return np.column_stack([part.to_numpy(dtype=np.float64, na_value=np.nan) for part in parts])


def to_float32(values: np.ndarray) -> np.ndarray:
    """Features in the type that nets read."""
    return np.asarray(values, dtype=np.float32)


def _scaled(convert: Any) -> Pipeline:
    """Conversion, median for missing values with a column that says so, and scaling."""
    impute = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    return make_pipeline(FunctionTransformer(convert), impute, StandardScaler())


def make_encoder(plan: ColumnPlan, text: tuple[str, Any] | None = None) -> Pipeline:
    """Transformer from the table to float32 features.

    Parameters
    ----------
    plan : ColumnPlan
    text : tuple (column, transformer), optional
        Adds the features that the transformer makes of one text column.

    Raises
    ------
    ValueError
        If no column is left.
    """
    one_hot = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES, sparse_output=False)
    categories = make_pipeline(FunctionTransformer(categories_of), one_hot)
    parts: list[tuple[str, Any, Any]] = [
        ("numbers", _scaled(numbers_of), plan.numbers),
        ("categories", categories, plan.categories),
        ("dates", _scaled(date_features), plan.dates),
    ]
    parts = [part for part in parts if part[2]]
    if text is not None:
        parts.append(("text", text[1], text[0]))
    if not parts:
        raise ValueError("no column is left to learn from")
    table = ColumnTransformer(parts, sparse_threshold=0.0, verbose_feature_names_out=False)
    return make_pipeline(table, FunctionTransformer(to_float32))
