"""JSON rows with exact places: a list of objects, or one object per line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from noisyflywheel.audit.files.encoding import decode
from noisyflywheel.audit.files.rewritable import Cells, Columns

SPACE = re.compile(r"[ \t\r\n]*")
DECODER = json.JSONDecoder()


class Item(NamedTuple):
    """One row: its place, its values and the places of the values."""

    start: int
    end: int
    values: dict[str, Any]
    spans: dict[str, tuple[int, int]]


def _skip(text: str, at: int) -> int:
    """First place from `at` on that is no white space."""
    found = SPACE.match(text, at)
    return found.end() if found else at


def read_item(text: str, at: int) -> Item:
    """The object at a place of a text.

    Raises
    ------
    ValueError
        If there is no whole object.
    """
    if text[at : at + 1] != "{":
        raise ValueError(f"line {1 + text.count(chr(10), 0, at)}: a row must be an object {{…}}")
    start, values, spans = at, {}, {}
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("a name in quotes is expected", text, at)
        name, at = DECODER.raw_decode(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("':' is expected", text, at)
        begin = _skip(text, at + 1)
        values[name], at = DECODER.raw_decode(text, begin)
        spans[name] = (begin, at)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "}":
            raise json.JSONDecodeError("',' or '}' is expected", text, at)
    return Item(start, at + 1, values, spans)


class JsonFile:
    """Rows of a .json or .jsonl file that can be written back with other labels and without some rows.

    Parameters
    ----------
    data : bytes
    encoding : str, optional

    Raises
    ------
    ValueError
        If the text is neither a list of objects nor objects one after another, but one object of whole columns or rows.
    """

    def __init__(self, data: bytes, encoding: str | None = None) -> None:
        self.encoded = decode(data, encoding)
        text = self.encoded.text
        at = _skip(text, 0)
        self.listed = text[at : at + 1] == "["
        self.items: list[Item] = []
        at = _skip(text, at + 1) if self.listed else at
        while at < len(text) and not (self.listed and text[at] == "]"):
            item = read_item(text, at)
            self.items.append(item)
            at = _skip(text, item.end)
            if self.listed and text[at : at + 1] == ",":
                at = _skip(text, at + 1)
        if self.listed and at >= len(text):
            raise ValueError("the list of rows is not closed")
        self._check_rows()

    def _check_rows(self) -> None:
        """Refuse one object whose values are whole columns or rows, as pandas writes a table unless told otherwise."""
        values = [] if self.listed or len(self.items) != 1 else list(self.items[0].values.values())
        if values and all(isinstance(value, dict | list) for value in values):
            raise ValueError('it is one object; a list of objects is expected, one per row (pandas: orient="records")')

    def frame(self) -> pd.DataFrame:
        """Values as JSON has them; null is missing."""
        names = list(dict.fromkeys(name for item in self.items for name in item.values))
        columns = {name: [item.values.get(name) for item in self.items] for name in names}
        return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})

    def rendered(self, changes: Cells, dropped: Sequence[int] = (), added: Columns | None = None) -> bytes:
        """As `DelimitedFile.rendered`; a dropped row goes with the comma or line end that parts it from the next.

        A changed cell that a row does not have is added to it.
        """
        text, gone = self.encoded.text, set(dropped)
        last = max((row for row in range(len(self.items)) if row not in gone), default=None)
        parts: list[str] = []
        at = 0
        for row, item in enumerate(self.items):
            if row in gone:
                start, end = self._dropped_span(row, last)
                parts.append(text[at:start])
                at = end
                continue
            new = {name: cells[row] for name, cells in changes.items() if row in cells}
            for (start, end), value in sorted((item.spans[name], new[name]) for name in new.keys() & item.spans.keys()):
                parts += [text[at:start], self._written(value, text[start:end])]
                at = end
            extra = {name: value for name, value in new.items() if name not in item.spans}
            extra |= {name: cells[row] for name, cells in (added or {}).items()}
            if extra:
                more = ", ".join(f"{self._added(name)}: {self._added(value)}" for name, value in extra.items())
                parts += [text[at : item.end - 1].rstrip(), ", " if item.values else "", more, "}"]
                at = item.end
        return self.encoded.to_bytes("".join([*parts, text[at:]]))

    def _dropped_span(self, row: int, last: int | None) -> tuple[int, int]:
        """Where a dropped row begins and ends with what parts it from others; ``last`` is the last row that stays.

        A row of a list behind that one goes with the comma before it.
        """
        item, is_at_the_end = self.items[row], last is not None and row > last
        start = self.items[row - 1].end if self.listed and is_at_the_end else item.start
        if row + 1 < len(self.items):
            return start, self.items[row + 1].start
        return start, item.end if self.listed else _skip(self.encoded.text, item.end)

    def _added(self, value: Any) -> str:
        """A new name or value as JSON; letters beyond ASCII stay where the file has such, and can hold all."""
        plain = self.encoded.encoding.startswith("utf") and not self.encoded.text.isascii()
        return json.dumps(value, ensure_ascii=not plain)

    def _written(self, value: Any, like: str) -> str:
        """A value as JSON; letters beyond ASCII are escaped where those of `like` are."""
        plain = json.dumps(value, ensure_ascii=False)
        escaped = json.dumps(value)
        return escaped if "\\u" in like or self.encoded.encoding == "ascii" else plain
