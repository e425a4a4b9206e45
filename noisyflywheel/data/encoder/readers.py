"""Cells of a table as numbers, dates and categories, for scikit-learn's transformers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

from noisyflywheel.data.encoder.columns import is_missing, read_dates, read_numbers
from noisyflywheel.data.encoder.notation import TRUTH, decoded

DATE_PARTS = ("days", "year", "month_sin", "month_cos", "weekday", "hour")


class NumberReader(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns of numbers in any notation as float64; missing cells are NaN.

    Parameters
    ----------
    forms : dict from column name to "", "comma", "thousands" or "truth"
    """

    def __init__(self, forms: dict[Hashable, str]) -> None:
        self.forms = forms

    def fit(self, X: pd.DataFrame, y: Any = None) -> NumberReader:
        """Keep the names of the columns."""
        self.feature_names_in_, self.n_features_in_ = np.asarray(X.columns, dtype=object), X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Numbers of shape (n, d)."""
        return np.column_stack([read_numbers(X[name], form) for name, form in self.forms.items()])


class CategoryReader(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Columns of categories as text; a missing cell is None, a category of its own."""

    def fit(self, X: pd.DataFrame, y: Any = None) -> CategoryReader:
        """Keep the names of the columns."""
        self.feature_names_in_, self.n_features_in_ = np.asarray(X.columns, dtype=object), X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[Any]:
        """Text or None, of shape (n, d)."""
        columns = [X[name].astype(object).map(category_text).mask(is_missing(X[name]), None) for name in X.columns]
        return np.column_stack([column.astype(object).where(column.notna(), None) for column in columns])


def category_text(cell: Any) -> str:
    """A cell as text: the same for a whole number as int and as float, and for a truth value and its name."""
    cell = decoded(cell)
    if isinstance(cell, str) and cell.lower() in TRUTH:
        return cell.capitalize()
    return str(int(cell)) if isinstance(cell, float | np.floating) and float(cell).is_integer() else str(cell)


class DateReader(TransformerMixin, BaseEstimator):
    """Per date the days since 1970, the year, the month on a circle, the weekday and the hour.

    Parameters
    ----------
    forms : dict from column name to "" or "day first"
    """

    def __init__(self, forms: dict[Hashable, str]) -> None:
        self.forms = forms

    def fit(self, X: pd.DataFrame, y: Any = None) -> DateReader:
        """Nothing is learnt."""
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:
        """Numbers of shape (n, 6 d); NaN where there is no date."""
        parts = [date_parts(read_dates(X[name], form)) for name, form in self.forms.items()]
        return np.column_stack(parts)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the parts."""
        return np.array([f"{name}_{part}" for name in self.forms for part in DATE_PARTS], dtype=object)


def days_since_1970(dates: pd.Series) -> NDArray[np.float64]:
    """Dates of shape (n,) as days, of the same shape; NaN where there is no date."""
    return (dates.to_numpy() - np.datetime64(0, "D")) / np.timedelta64(1, "D")


def date_parts(dates: pd.Series) -> NDArray[np.float64]:
    """Parts of shape (n, 6) of dates of shape (n,), in the order of `DATE_PARTS`."""
    angle = 2 * np.pi * (dates.dt.day_of_year - 1) / 365.25
    parts = (dates.dt.year, np.sin(angle), np.cos(angle), dates.dt.day_of_week, dates.dt.hour)
    numbers = [part.to_numpy(dtype=np.float64, na_value=np.nan) for part in parts]
    return np.column_stack([days_since_1970(dates), *numbers])
