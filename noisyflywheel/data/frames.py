"""Tables of polars and pyarrow, whose columns have names and kinds as those of pandas do."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype


def library_of(X: Any) -> str | None:
    """Either "polars" or "pyarrow", where X is a table of it in memory, else None."""
    library = type(X).__module__.split(".")[0]
    is_table = hasattr(X, "to_pandas") and hasattr(X, "columns")
    return library if library in ("polars", "pyarrow") and is_table else None


def has_other_kinds(X: Any) -> bool:
    """Whether a DataFrame of pandas or polars has a column that holds no numbers."""
    if library_of(X) == "polars":
        X = in_pandas(X[:0])
    return isinstance(X, pd.DataFrame) and not all(map(is_numeric_dtype, X.dtypes))


def in_pandas(X: Any) -> Any:
    """A table of another library as a DataFrame of pandas; anything else as it is.

    Raises
    ------
    ImportError
        If that library needs another one to convert its tables.
    """
    library = library_of(X)
    if library is None:
        return X
    try:
        return X.to_pandas()
    except ImportError as error:
        raise ImportError(f"X is a {library} table; to convert it: {error}") from error
