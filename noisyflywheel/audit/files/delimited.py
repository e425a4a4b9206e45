"""Delimited text as records with exact places, so that single cells change and every other byte stays."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd

from noisyflywheel.audit.files.dialect import Dialect
from noisyflywheel.audit.files.encoding import Encoded, decode
from noisyflywheel.audit.files.rewritable import Cells, Columns
from noisyflywheel.data.encoder.names import unique_names

DELIMITERS = (",", ";", "\t", "|")
LINE_END = re.compile(r"\r\n|\n|\r")
EXCEL_HEAD = re.compile(r'("?)sep=(.)\1(?:\r\n|\n|\r)', re.IGNORECASE)
SAMPLE = 200


class Record(NamedTuple):
    """One record: its cells, the places of its content [start, end) and of what follows its line end (stop)."""

    start: int
    end: int
    stop: int
    cells: list[str]


def split_records(text: str, dialect: Dialect, start: int = 0, most: int | None = None) -> Iterator[Record]:
    """Records of a text; empty lines are left out.

    Raises
    ------
    ValueError
        For a quote that is never closed, with the line of the file.
    """
    pattern = dialect.cell_pattern()
    count = 0
    while start < len(text) and (most is None or count < most):
        found = LINE_END.search(text, start)
        end, stop = found.span() if found else (len(text), len(text))
        if dialect.quote and text.find(dialect.quote, start, end) >= 0:
            record = _quoted_record(text, start, pattern, dialect)
        else:
            record = Record(start, end, stop, text[start:end].split(dialect.delimiter))
        if record.end > record.start:
            yield record
            count += 1
        start = record.stop


def _quoted_record(text: str, start: int, pattern: re.Pattern[str], dialect: Dialect) -> Record:
    """One record cell by cell."""
    cells = []
    for begin, found in _cells(text, start, pattern):
        inside, after, bare, ending = found.groups()
        if bare is not None and bare.startswith(dialect.quote):
            raise ValueError(f"line {line_of(text, begin)}: a quote is opened and never closed")
        cells.append(bare if bare is not None else dialect.unquoted(inside) + after)
        if ending != dialect.delimiter:
            break
    return Record(start, found.start(4), found.end(), cells)


def _cells(text: str, start: int, pattern: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str]]]:
    """Matches of the cells from `start` on."""
    while found := pattern.match(text, start):
        yield start, found
        start = found.end()


def cell_span(text: str, record: Record, place: int, dialect: Dialect) -> tuple[int, int]:
    """Where the cell number `place` of a record lies in the text, quotes included."""
    for number, (start, found) in enumerate(_cells(text, record.start, dialect.cell_pattern())):
        if number == place:
            return start, found.start(4)
    raise AssertionError("unreachable: the record has this cell")


def line_of(text: str, place: int) -> int:
    """1-based line of the file at a place of its text."""
    return 1 + sum(1 for _ in LINE_END.finditer(text, 0, place))


def sniff(text: str, start: int = 0, quote: str = '"') -> Dialect:
    """Dialect under which the first records have the same number of cells, the more the better."""
    choices = [Dialect(d, quote, e) for d in DELIMITERS for e in (("", "\\") if "\\" + quote in text else ("",))]
    return max(choices, key=lambda dialect: _fit(text, start, dialect))


def _fit(text: str, start: int, dialect: Dialect) -> tuple[float, int]:
    """Share of records as wide as the first one, and its width; (0, 0) for a dialect that parts nothing."""
    widths, share = [], 1.0
    try:
        for record in split_records(text, dialect, start, SAMPLE):
            widths.append(len(record.cells))
    except ValueError:
        share = 0.1
    if not widths or widths[0] < 2:
        return (0.0, 0)
    return (share * sum(width == widths[0] for width in widths) / len(widths), widths[0])


class DelimitedFile:
    """A delimited file that can be written back with other labels and without some rows.

    Parameters
    ----------
    data : bytes
    delimiter, encoding, quote : str, optional
        What is known of the file; the rest is found.

    Attributes
    ----------
    names : list of str
        Columns; a name that occurs twice gets ``.1``, ``.2`` … as in pandas.
    records : list of Record
        Rows of data, without the header.

    Raises
    ------
    ValueError
        For text that is no table: nothing in it, an open quote, a row with more cells than columns.
    """

    def __init__(
        self, data: bytes, delimiter: str | None = None, encoding: str | None = None, quote: str = '"'
    ) -> None:
        self.encoded: Encoded = decode(data, encoding)
        text = self.encoded.text
        head = EXCEL_HEAD.match(text)
        start = head.end() if head else 0
        delimiter = delimiter or (head[2] if head else None)
        self.dialect = sniff(text, start, quote) if delimiter is None else Dialect(delimiter, quote)
        records = list(split_records(text, self.dialect, start))
        if not records:
            raise ValueError("there are no rows")
        self.header, self.records = records[0], records[1:]
        self.names = _column_names(self.header.cells, self.records)
        self._check_widths()

    def _check_widths(self) -> None:
        """Refuse rows with more cells than columns, but for empty ones at the end, and quotes that part a cell."""
        width, n_named = len(self.names), len(self.header.cells)
        for row, record in enumerate(self.records, 1):
            if len(record.cells) <= n_named:
                continue
            is_parted = self._is_parted(record)
            if (is_parted and width > n_named) or any(record.cells[width:]):
                line = line_of(self.encoded.text, record.start)
                found = f"row {row} (line {line}) has {len(record.cells)} cells, the header has {n_named}"
                raise ValueError(found + " (a quote behind a blank counts as text: remove the blank)" * is_parted)

    def _is_parted(self, record: Record) -> bool:
        """Whether a cell has a quote behind blanks, which does not hold it together."""
        text, quote = self.encoded.text, self.dialect.quote
        places = [i for i, cell in enumerate(record.cells) if quote and cell[:1] == " " and cell.lstrip()[:1] == quote]
        return any(text[cell_span(text, record, i, self.dialect)[0]] == " " for i in places)

    def frame(self) -> pd.DataFrame:
        """All cells as text, rows 0 … n-1; cells that a short row lacks are empty."""
        width = len(self.names)
        rows = [record.cells[:width] + [""] * (width - len(record.cells)) for record in self.records]
        columns = zip(*rows, strict=True) if rows else [()] * width
        data = {name: pd.Series(cells, dtype=object) for name, cells in zip(self.names, columns, strict=True)}
        return pd.DataFrame(data)

    def rendered(self, changes: Cells, dropped: Sequence[int] = (), added: Columns | None = None) -> bytes:
        """The file with other cells in some rows, without other rows, and with columns behind the last one.

        Parameters
        ----------
        changes : mapping from column name to a mapping from row position to the new cell
        dropped : sequence of row positions
        added : mapping from name to n cells, optional

        Returns
        -------
        data : bytes
            Every byte outside the changed cells and dropped rows is that of the file; before an added column a row
            loses the empty cells that it has beyond the header.
        """
        text, gone = self.encoded.text, set(dropped)
        parts, at = [], 0
        if added:
            parts, at = [text[: self.header.end], self._joined(list(added))], self.header.end
        for row, record in enumerate(self.records):
            if row in gone:
                parts.append(text[at : record.start])
                at = record.stop
                continue
            for start, end, cell in self._new_cells(row, record, changes):
                parts += [text[at:start], cell]
                at = end
            if tail := self._tail(row, record, changes, added or {}):
                parts += [text[at : self._last_end(record)], tail]
                at = record.end
        return self.encoded.to_bytes("".join([*parts, text[at:]]))

    def _new_cells(self, row: int, record: Record, changes: Cells) -> list[tuple[int, int, str]]:
        """Places and new text of the cells of a record that change, from left to right; those that it has."""
        spans = []
        for place, cell in self._changed(row, changes).items():
            if place < len(record.cells):
                start, end = cell_span(self.encoded.text, record, place, self.dialect)
                spans.append((start, end, self.dialect.written(cell, self.encoded.text[start:end])))
        return sorted(spans)

    def _changed(self, row: int, changes: Cells) -> dict[int, str]:
        """New cells of a row by the number of their column."""
        return {self.names.index(name): str(cells[row]) for name, cells in changes.items() if row in cells}

    def _last_end(self, record: Record) -> int:
        """Where the last cell of a record ends that has a column."""
        width = len(self.names)
        return (
            record.end
            if len(record.cells) <= width
            else cell_span(self.encoded.text, record, width - 1, self.dialect)[1]
        )

    def _tail(self, row: int, record: Record, changes: Cells, added: Columns) -> str:
        """What comes behind the cells of a record: new ones that it lacks, as a short one does, and added columns."""
        there = len(record.cells)
        lacking = {place: cell for place, cell in self._changed(row, changes).items() if place >= there and cell}
        width = len(self.names) if added else max(lacking, default=-1) + 1
        filled = [lacking.get(place, "") for place in range(there, width)]
        return self._joined([*filled, *(cells[row] for cells in added.values())])

    def _joined(self, cells: Sequence[Any]) -> str:
        """Cells as they follow others in a record."""
        return "".join(self.dialect.delimiter + self.dialect.written(str(cell)) for cell in cells)


def _column_names(header: list[str], records: list[Record]) -> list[str]:
    """Names of the columns, each once; a first column without a name where every row has one cell more."""
    if records and all(len(record.cells) == len(header) + 1 and record.cells[-1] for record in records):
        header = ["(row names)", *header]
    return unique_names(name or f"(column {place + 1})" for place, name in enumerate(header))
