"""Arrow tables, Parquet files and Hugging Face datasets as rows, without loading them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from torch.utils.data import Dataset

from noisyflywheel.data.lazy import LazyRows, OnDisk
from noisyflywheel.data.reading import in_colours


class Columns:
    """Numeric columns of a table as one array (n, d), or its only column, of lists of d numbers.

    Parameters
    ----------
    table : pyarrow.Table
        In memory or memory-mapped.
    """

    width: int | None = None
    """Numbers of a row, where that is known."""

    def __init__(self, table: Any) -> None:
        self.table = table
        if not len(table.schema):
            raise ValueError("X has no columns of numbers.")
        lists = [field.name for field in table.schema if _is_list(field)]
        if lists and len(table.schema) > 1:
            raise TypeError(f"column {lists[0]!r} of X holds lists, beside other columns: pass one of the two.")
        self.dtype = np.result_type(*(_dtype_of(field) for field in table.schema))
        first = self._array(table.slice(0, 2))
        self.width = first.shape[1]
        self.shape = (table.num_rows, *first.shape[1:])
        self.names = None if _is_list(table.schema[0]) else list(table.column_names)

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: int | slice) -> NDArray[Any]:
        """One row, or consecutive ones."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            return self._array(self.table.slice(start, stop - start))
        return self._array(self.table.slice(rows, 1))[0]

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Rows (B, d)."""
        return self._array(self.table.take(np.asarray(rows)))

    def _array(self, part: Any) -> NDArray[Any]:
        """Rows of a part of the table."""
        if _is_list(part.schema[0]):
            return self._of_lists(part.column(0).combine_chunks(), part.column_names[0])
        rows = np.stack([column.to_numpy() for column in part.columns], 1)
        return rows.astype(np.float64) if rows.dtype == object else rows  # truth values, some of them missing

    def _of_lists(self, lists: Any, name: str) -> NDArray[Any]:
        """Lists of equally many numbers, as many as in the first rows, as rows (b, d)."""
        import pyarrow.compute

        lengths = pyarrow.compute.list_value_length(lists).to_numpy(zero_copy_only=False)  # NaN where there is no list
        width = self.width if self.width is not None or not len(lengths) else lengths[0]
        if not (lengths == width).all():
            raise ValueError(f"column {name!r} of X holds lists of different lengths.")
        return lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), int(width or 0))


class HubColumns(Columns):
    """Numeric columns of a Hugging Face dataset, or its only column, of lists, as one array (n, d).

    Parameters
    ----------
    dataset : datasets.Dataset
        Its columns of class labels, and those that its format hides, are left out.

    Raises
    ------
    TypeError
        If the dataset has a transform: columns are read without it.
    """

    def __init__(self, dataset: Any) -> None:
        shown = dataset.format
        if shown["type"] == "custom":
            raise TypeError(
                "X has a transform (set_transform), which columns are read without: apply it with map, or pass a torch "
                "Dataset whose items are rows."
            )
        hidden = () if shown["output_all_columns"] else set(dataset.features).difference(shown["columns"])
        kinds = {name: type(kind).__name__ for name, kind in dataset.features.items()}
        names = [name for name, kind in kinds.items() if kind != "ClassLabel" and name not in hidden]
        self.dataset = dataset.select_columns(names).with_format("arrow")
        super().__init__(self.dataset[0:2])
        self.shape = (len(dataset), *self.shape[1:])

    def __getitem__(self, rows: int | slice) -> NDArray[Any]:
        """One row, or consecutive ones."""
        return self._array(self.dataset[rows]) if isinstance(rows, slice) else self[rows : rows + 1][0]

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Rows (B, d)."""
        return self._array(self.dataset[rows.tolist()])


class HubPictures(Dataset):
    """The only picture column of a Hugging Face dataset; workers decode it."""

    def __init__(self, dataset: Any, column: str) -> None:
        self.pictures, self.column = dataset.select_columns([column]), column

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.pictures)

    def __getitem__(self, row: int) -> NDArray[Any]:
        """One picture, as it is stored or a transform makes it; one with a palette as RGB."""
        shown = self.pictures[row]
        if self.column not in shown:
            raise TypeError(
                f"the transform of X (set_transform) returns no {self.column!r}: keep that column, or pass a torch "
                "Dataset whose items are rows."
            )
        return np.asarray(in_colours(shown[self.column]))


def table_rows(X: Any) -> Dataset | None:
    """X as rows where it is a pyarrow table, a Parquet file or a Hugging Face dataset; else None.

    Raises
    ------
    TypeError
        If it has columns that are no numbers; the message names one.
    """
    package, name = type(X).__module__.partition(".")[0], type(X).__name__
    if package == "pyarrow" and name == "ParquetFile":
        return LazyRows(_spooled(X))
    if package == "pyarrow" and name == "Table":
        return LazyRows(Columns(X))
    if package != "datasets" or not hasattr(X, "features"):
        return None
    pictures = [column for column, kind in X.features.items() if type(kind).__name__ == "Image"]
    return HubPictures(X, pictures[0]) if pictures else LazyRows(HubColumns(X))


def row_names(rows: LazyRows) -> Sequence[str] | None:
    """Names of the columns, where the rows come from several."""
    return getattr(rows.array, "names", None)


def _spooled(file: Any) -> OnDisk:
    """The rows of a Parquet file copied into a temporary file, group by group: Parquet has no rows to seek."""
    import pyarrow

    n_rows = file.metadata.num_rows
    if n_rows == 0:
        raise ValueError("X is a Parquet file with 0 rows.")
    head = Columns(pyarrow.Table.from_batches([next(file.iter_batches(batch_size=2))]))
    with tempfile.NamedTemporaryFile(prefix="noisyflywheel") as copy:  # in a map a full disk would end the process
        for batch in file.iter_batches():
            rows = head._array(pyarrow.Table.from_batches([batch]))
            assert_all_finite(rows, input_name="X")  # whole numbers have no missing value
            _write(copy, np.ascontiguousarray(rows, head.dtype))
        # Its name goes now, on Windows with the map: there a file that is mapped cannot be removed.
        spool = OnDisk(np.memmap(copy, dtype=head.dtype, mode="r", shape=(n_rows, *head.shape[1:])))
    spool.names = head.names
    return spool


def _write(file: Any, rows: NDArray[Any]) -> None:
    """Write rows and flush them; an error names the file."""
    try:
        file.write(rows.data)
        file.flush()
    except OSError as error:
        raise OSError(error.errno, f"a copy of X cannot be written ({error.strerror})", file.name) from error


def _is_list(field: Any) -> bool:
    return hasattr(field.type, "value_field")  # dictionaries and tensors have a value_type too


def _dtype_of(field: Any) -> np.dtype:
    """Type of numbers in a column."""
    kind = field.type.value_type if _is_list(field) else field.type
    try:
        dtype = np.dtype(kind.to_pandas_dtype())
    except (NotImplementedError, TypeError):
        dtype = np.dtype(object)
    if dtype.kind not in "biuf":
        raise TypeError(f"column {field.name!r} of X holds {field.type}, no numbers: leave it out, or encode it.")
    return dtype
