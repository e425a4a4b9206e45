"""Rows of mixed columns as numbers, by scikit-learn's transformers."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted

from noisyflywheel.data.encoder.columns import MAX_CATEGORIES, Column, plan_columns, plan_table
from noisyflywheel.data.encoder.missing import with_missing
from noisyflywheel.data.encoder.names import unique_names
from noisyflywheel.data.encoder.readers import CategoryReader, DateReader, NumberReader
from noisyflywheel.data.encoder.text import make_embedder
from noisyflywheel.data.frames import in_pandas
from noisyflywheel.data.masked import without_mask


class TableEncoder(TransformerMixin, BaseEstimator):
    """Rows of mixed columns as float32 features.

    Numbers (also with decimal commas, units, currencies, per cent and thousands' separators) and dates are scaled;
    their missing cells get the median and a column that says so. Categories become one column per value, a missing
    cell being a value. Free text becomes vectors. Identifiers, row numbers, constant columns and those that an earlier
    audit added are left out. `columns_` says what was taken for what.

    Parameters
    ----------
    features : collection of column names, optional
        Learn from these only, identifiers among them too; all columns if None.
    text : collection of column names, default ()
        Columns of texts, whatever they look like.
    leave_out : collection of column names, default ()
        Never used: labels, groups.
    embedder : str, optional
        Name of a sentence-transformers model for texts; None takes TF-IDF and SVD.
    max_categories : int, default 50
        Values of a category with a column of their own; the rarer ones share one.
    missing : collection of str, default ()
        Text that stands for a missing cell, beside empty text, None and NaN; one text is one marker.

    Attributes
    ----------
    columns_ : DataFrame
        `column`, `taken_as` ("number", "date", "category", "text", "left out"), `share_missing` in [0, 1], `remark`.
    plan_ : list of Column
        The same with the notation of each column.
    n_features_in_ : int
    feature_names_in_ : ndarray of str, if fitted on a DataFrame

    Examples
    --------
    >>> import pandas as pd
    >>> from noisyflywheel.audit import TableEncoder
    >>> table = pd.DataFrame({"price": ["1,5 €", "2,25 €", None], "color": ["red", "blue", "red"]})
    >>> encoder = TableEncoder().fit(table)
    >>> encoder.get_feature_names_out().tolist()
    ['price', 'missingindicator_price', 'color_blue', 'color_red']
    """

    def __init__(
        self,
        *,
        features: Collection[Hashable] | None = None,
        text: Collection[Hashable] = (),
        leave_out: Collection[Hashable] = (),
        embedder: str | None = None,
        max_categories: int = MAX_CATEGORIES,
        missing: Collection[str] = (),
    ) -> None:
        self.features = features
        self.text = text
        self.leave_out = leave_out
        self.embedder = embedder
        self.max_categories = max_categories
        self.missing = missing

    def fit(self, X: pd.DataFrame | ArrayLike, y: Any = None) -> TableEncoder:
        """Decide what the columns hold and learn their scales and categories.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, d)
        y : ignored

        Raises
        ------
        ValueError
            For names that are no columns, and if no column is left to learn from.
        """
        self.fit_transform(X)
        return self

    def fit_transform(self, X: pd.DataFrame | ArrayLike, y: Any = None) -> NDArray[np.float32]:
        """`fit`, and the features of the same rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, d)
        y : ignored

        Returns
        -------
        ndarray of shape (n, n_features_out), float32

        Raises
        ------
        ValueError
            As `fit`.
        """
        X = in_pandas(X)
        table = self._table(X)
        if table.empty:
            raise ValueError(f"Found a table of shape {table.shape} while at least 1 row and 1 column are required.")
        features = None if self.features is None else _names(self.features)
        text = _names(self.text)
        leave_out = _names(self.leave_out)
        check_columns(table, [*(features or ()), *text, *leave_out])
        self.plan_ = plan = plan_columns(table, features, text, leave_out)
        self.columns_ = plan_table(plan)
        self._used = [column.name for column in plan if column.kind != "left out"]
        if not self._used:
            raise ValueError("no column is left to learn from")
        self.__dict__.pop("feature_names_in_", None)
        if isinstance(X, pd.DataFrame):
            self.feature_names_in_ = np.asarray(X.columns, dtype=object)
        self.n_features_in_ = table.shape[1]
        self._columns = self._transformer(plan).set_output(transform="default")  # of its parts too
        return np.asarray(self._columns.fit_transform(table[self._used]), dtype=np.float32)

    def transform(self, X: pd.DataFrame | ArrayLike) -> NDArray[np.float32]:
        """Features of rows with the columns that were learnt from; others do not count.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n, n_features_out), float32

        Raises
        ------
        ValueError
            If a column that was learnt from is not there.
        """
        check_is_fitted(self)
        X = in_pandas(X)
        table = self._table(X)
        gone = [name for name in self._used if name not in table.columns]
        if gone:
            raise ValueError(f"the column {gone[0]!r} that was learnt from is not there{self._why_gone(X)}")
        return np.asarray(self._columns.transform(table[self._used]), dtype=np.float32)

    def _why_gone(self, X: Any) -> str:
        """The end of an error about missing columns, where only one of this X and that of the fit has names."""
        named = hasattr(self, "feature_names_in_")
        if named == isinstance(X, pd.DataFrame):
            return ""
        fit_on = "a DataFrame" if named else "an array, whose columns have no names"
        return f": X is a {type(X).__name__}, the fit was on {fit_on}"

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Names of the features, of shape (n_features_out,)."""
        check_is_fitted(self)
        names: list[str] = []
        for _, part, columns in self._columns.transformers_:
            if part != "drop":
                names += map(str, part.get_feature_names_out([columns] if isinstance(columns, str) else columns))
        return np.array(unique_names(names), dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` was called."""
        return hasattr(self, "_columns")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Pickles of earlier versions have no `missing`."""
        super().__setstate__({"missing": (), **state})

    def _table(self, X: Any) -> pd.DataFrame:
        """X as a table with a name for each column."""
        if isinstance(X, pd.DataFrame):
            table = _native(X.set_axis(_names(X.columns), axis=1))
            check_once(table.columns)
            return with_missing(table, self.missing) if len(self.missing) else table
        values = np.asarray(without_mask(X))
        if values.ndim != 2:
            raise ValueError(f"a table of shape (n, d) is expected, got shape {values.shape}")
        return self._table(pd.DataFrame(values, columns=[f"x{i}" for i in range(values.shape[1])]))

    def _transformer(self, plan: list[Column]) -> ColumnTransformer:
        """One transformer for each kind of column."""

        def of(kind: str) -> dict[Hashable, str]:
            return {column.name: column.form for column in plan if column.kind == kind}

        one_hot = OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=self.max_categories,
            sparse_output=False,
            feature_name_combiner=_category_name,
        )
        parts = [
            ("numbers", make_pipeline(NumberReader(of("number")), *_filled()), list(of("number"))),
            ("categories", make_pipeline(CategoryReader(), one_hot), list(of("category"))),
            ("dates", make_pipeline(DateReader(of("date")), *_filled()), list(of("date"))),
            *((f"text {name}", make_embedder(self.embedder, str(name)), name) for name in of("text")),
        ]
        parts = [part for part in parts if part[2] != []]
        return ColumnTransformer(parts, sparse_threshold=0.0, verbose_feature_names_out=False)


def _native(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose numbers are in this machine's order of bytes; ValueError for complex ones."""
    for place, dtype in enumerate(table.dtypes):
        if dtype.kind == "c":
            raise ValueError(f"Complex data not supported: column {table.columns[place]!r} of X.")
        if isinstance(dtype, np.dtype) and not dtype.isnative:  # from a file of another machine
            table.isetitem(place, table.iloc[:, place].to_numpy().astype(dtype.newbyteorder("=")))
    return table


def _names(names: Iterable[Hashable]) -> list[str]:
    """Names of columns as text; one text is one name."""
    return [names] if isinstance(names, str) else [str(name) for name in names]


def check_columns(table: pd.DataFrame, wanted: Iterable[Hashable]) -> None:
    """Refuse names that are no columns, or two.

    Raises
    ------
    TypeError
        For the cells of a column in place of its name.
    ValueError
        With the first such name, and the columns that there are where it is none.
    """
    wanted = list(wanted)
    cells = next((type(name).__name__ for name in wanted if not pd.api.types.is_hashable(name)), None)
    if cells is not None:
        raise TypeError(f"the name of a column is needed, not a {cells}: make it a column of the table")
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        shown = [name if name == name.strip() else repr(name) for name in map(str, table.columns[:12])]
        known = ", ".join(shown) + (", …" if table.shape[1] > 12 else "")
        raise ValueError(f"no column {missing[0]!r}; the columns are {known}")
    check_once(table.columns[table.columns.isin(wanted)])


def check_once(names: pd.Index) -> None:
    """Raise ValueError for a name that occurs twice."""
    if not names.is_unique:
        raise ValueError(f"two columns are called {names[names.duplicated()][0]!r}")


def _category_name(column: Any, category: Any) -> str:
    """Name of the feature of one category."""
    return f"{column}_(missing)" if category is None else f"{column}_{category}"


def _filled() -> tuple[SimpleImputer, StandardScaler]:
    """The median for missing values with a column that says so, then unit scale."""
    return SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
