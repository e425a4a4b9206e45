"""Parquet and Excel tables that are written back with other labels and everything else as it is."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from noisyflywheel.audit.files.rewritable import Cells, Columns, needs
from noisyflywheel.audit.files.sheet_rows import check_references, move_up
from noisyflywheel.data.encoder.names import OWN_COLUMNS, unique_names

EXACT = 2**53
"""Up to here a float holds every whole number."""


class ParquetFile:
    """A .parquet file; types, column order, schema metadata and the compression stay.

    Parameters
    ----------
    data : bytes

    Raises
    ------
    ImportError
        Without pyarrow.
    """

    def __init__(self, data: bytes) -> None:
        try:
            import pyarrow.parquet as parquet
        except ImportError as error:
            raise needs("pyarrow", "parquet", "a .parquet file") from error
        source = parquet.ParquetFile(io.BytesIO(data))
        self.table = source.read()
        groups = source.metadata
        chunks = groups.num_row_groups and groups.num_columns
        self.compression = groups.row_group(0).column(0).compression.lower() if chunks else "snappy"

    def frame(self) -> pd.DataFrame:
        """Columns as pandas reads them, without those that it takes for the index; rows 0 … n-1.

        Whole numbers beside missing ones are floats, but where these would lose digits.
        """
        index = (self.table.schema.pandas_metadata or {}).get("index_columns", [])
        names = [name for name in index if isinstance(name, str)]
        table = self.table.replace_schema_metadata(None).drop_columns(names)
        frame = table.to_pandas()
        for place, column in enumerate(table.columns):
            if _loses_digits(column, frame.dtypes.iloc[place]):
                frame.isetitem(place, column.to_pandas(integer_object_nulls=True))
        return frame

    def rendered(self, changes: Cells, dropped: Sequence[int] = (), added: Columns | None = None) -> bytes:
        """As `DelimitedFile.rendered`; all other columns are those of the file, value by value."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        table = self.table
        for column, cells in changes.items():
            place, field = table.schema.get_field_index(column), table.schema.field(column)
            values = table.column(column).to_pylist()
            for row, value in cells.items():
                values[row] = value
            filled = pa.array(values, type=None if column in OWN_COLUMNS else field.type)
            table = table.set_column(place, field.with_type(filled.type), filled)
            if filled.type != field.type:
                table = table.replace_schema_metadata(_without_type(table.schema.metadata, column))
        for name, more in (added or {}).items():
            table = table.append_column(name, pa.array(list(more)))
        if dropped:
            gone = set(dropped)
            table = table.take([row for row in range(table.num_rows) if row not in gone])
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression=self.compression.replace("uncompressed", "none"))
        return buffer.getvalue()


def _loses_digits(column: Any, dtype: Any) -> bool:
    """Whether pandas made floats of whole numbers that floats cannot hold, as it does beside missing ones."""
    import pyarrow as pa
    import pyarrow.compute as compute

    if not pa.types.is_integer(column.type) or dtype.kind != "f":
        return False
    ends = compute.min_max(column).as_py()
    return max(abs(end or 0) for end in ends.values()) > EXACT


def _without_type(metadata: Mapping[bytes, bytes] | None, column: str) -> dict[bytes, bytes] | None:
    """Metadata of a schema in which pandas has not written down what the column was."""
    if metadata is None or b"pandas" not in metadata:
        return None if metadata is None else dict(metadata)
    known = json.loads(metadata[b"pandas"])
    known["columns"] = [line for line in known["columns"] if line.get("field_name") != column]
    return {**metadata, b"pandas": json.dumps(known).encode()}


class ExcelFile:
    """The first sheet of a .xlsx file, its first row as header; other sheets, formats and widths stay.

    Parameters
    ----------
    data : bytes

    Attributes
    ----------
    names : list of str
        Columns; a name that occurs twice gets ``.1``, ``.2`` … as in pandas.

    Raises
    ------
    ImportError
        Without openpyxl.
    """

    def __init__(self, data: bytes) -> None:
        try:
            from openpyxl import load_workbook
        except ImportError as error:
            raise needs("openpyxl", "excel", "a .xlsx file") from error
        self.data, self._load = data, load_workbook
        self.sheet = load_workbook(io.BytesIO(data), data_only=True).worksheets[0]
        rows = list(self.sheet.iter_rows())
        if not rows:
            raise ValueError("the first sheet is empty")
        header = [cell.value for cell in rows[0]]
        self.names = unique_names(f"(column {i + 1})" if name is None else str(name) for i, name in enumerate(header))
        filled = [i for i, cells in enumerate(rows[1:], 2) if any(cell.value is not None for cell in cells)]
        self.lines, self.cells = filled, [[_known(cell) for cell in rows[i - 1]] for i in filled]

    def frame(self) -> pd.DataFrame:
        """Values of the cells, of formulas what was last computed, None for an error; empty rows are left out."""
        columns = zip(*self.cells, strict=True) if self.cells else [()] * len(self.names)
        data = {name: pd.Series(cells, dtype=object) for name, cells in zip(self.names, columns, strict=True)}
        return pd.DataFrame(data)

    def rendered(self, changes: Cells, dropped: Sequence[int] = (), added: Columns | None = None) -> bytes:
        """As `DelimitedFile.rendered`: the workbook with other cells in its first sheet.

        Formulas of that sheet become what was last computed; those that were never computed stay.

        Raises
        ------
        ValueError
            If rows are dropped and such a formula stays, or something in the workbook goes by cells of the sheet:
            its references would be wrong.
        """
        book = self._load(io.BytesIO(self.data), rich_text=True)
        sheet, width = book.worksheets[0], len(self.names)
        bare = self._computed(sheet)
        if dropped and bare:
            raise ValueError(
                f"rows cannot be dropped: the formula in {bare[0]} has no value yet; open and save the file in a "
                "spreadsheet program first, or take another policy"
            )
        gone = sorted(self.lines[row] for row in dropped)
        if gone:
            check_references(book, gone, self.lines[-1])
        for name, cells in changes.items():
            for row, value in cells.items():
                _write(sheet.cell(self.lines[row], self.names.index(name) + 1), value)
        for place, (name, column) in enumerate((added or {}).items(), width + 1):
            _write(sheet.cell(1, place), name)
            for line, cell in zip(self.lines, column, strict=True):
                _write(sheet.cell(line, place), cell)
        for line in reversed(gone):
            sheet.delete_rows(line)
        if gone:
            move_up(sheet, gone)
        buffer = io.BytesIO()
        book.save(buffer)
        return buffer.getvalue()

    def _computed(self, sheet: Any) -> list[str]:
        """Put what was last computed in place of each formula of a sheet; places of those that have no value."""
        bare = []
        for cell in [cell for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]:
            known = self.sheet[cell.coordinate]
            if known.value is None and known.data_type != "str":  # "str" is a text, here an empty one
                bare.append(cell.coordinate)
                continue
            _write(cell, known.value)
        return bare


def _known(cell: Any) -> Any:
    """Value of a cell; an error such as ``#DIV/0!`` is missing, as in pandas."""
    return None if cell.data_type == "e" else cell.value


def _write(cell: Any, value: Any) -> None:
    """Put a value into a cell; a text that starts with "=" is a text and no formula."""
    cell.value = value
    if cell.data_type == "f":
        cell.data_type = "s"
