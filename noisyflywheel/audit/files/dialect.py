"""How the cells of a delimited text are parted, quoted and written."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """How cells are parted and quoted.

    Attributes
    ----------
    delimiter : str
        One character.
    quote : str, default '"'
        One character, or empty where nothing is quoted; doubled inside a quoted cell.
    escape : str, default ""
        A character that takes the meaning of the next one inside a quoted cell.
    """

    delimiter: str
    quote: str = '"'
    escape: str = ""

    def __post_init__(self) -> None:
        """Refuse characters that part nothing."""
        if len(self.delimiter) != 1 or self.delimiter in "\r\n" or self.delimiter == self.quote:
            raise ValueError(
                f"the delimiter must be one character that is no quote or line end; got {self.delimiter!r}"
            )
        if len(self.quote) > 1:
            raise ValueError(f"the quote must be one character or empty; got {self.quote!r}")

    def cell_pattern(self) -> re.Pattern[str]:
        """One cell and what ends it; group 1: inside of the quotes, 2: after them, 3: a bare cell, 4: the end."""
        d, q, e = (re.escape(c) for c in (self.delimiter, self.quote, self.escape))
        bare = rf"[^{d}\r\n]*"
        inside = rf"(?:[^{q}{e}]+|{q}{q}" + (rf"|{e}[\s\S])*+" if e else ")*+")
        quoted = rf"{q}({inside}){q}({bare})|" if q else "()()(?!)|"
        return re.compile(rf"(?:{quoted}({bare}))({d}|\r\n|\n|\r|\Z)")

    def unquoted(self, inside: str) -> str:
        """Value of the inside of a quoted cell."""
        if self.escape:
            inside = re.sub(re.escape(self.escape) + r"([\s\S])", r"\1", inside)
        return inside.replace(2 * self.quote, self.quote)

    def written(self, value: str, like: str = "") -> str:
        """A value as a cell, quoted where it must be or where the cell `like` is.

        Raises
        ------
        ValueError
            If it would need quotes in a file that has none.
        """
        special = any(c in value for c in (self.delimiter, "\r", "\n")) or (self.quote and self.quote in value)
        if not self.quote:
            if special:
                raise ValueError(f"{value!r} cannot be written: the file has no quotes")
            return value
        if not special and not like.startswith(self.quote):
            return value
        if self.escape:
            value = value.replace(self.escape, 2 * self.escape)
        return self.quote + value.replace(self.quote, 2 * self.quote) + self.quote
