"""What every kind of table file can do: give its rows, and be written with other labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

Cells = Mapping[str, Mapping[int, Any]]
Columns = Mapping[str, Sequence[Any]]


class Rewritable(Protocol):
    """A parsed file that gives its rows and can be written with other labels."""

    def frame(self) -> pd.DataFrame:
        """Rows 0 … n-1 as the file has them."""

    def rendered(self, changes: Cells, dropped: Sequence[int] = (), added: Columns | None = None) -> bytes:
        """The file with other cells (column -> row -> cell), without some rows, with more columns."""


def needs(package: str, extra: str, what: str) -> ImportError:
    """The error for a format whose package is not installed."""
    return ImportError(f"{what} needs {package}: pip install 'noisyflywheel[{extra}]'")
