"""What hangs on the rows of an Excel sheet, moved with them where rows are dropped."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

QUOTED = re.compile(r'"[^"]*"')
CELLS = re.compile(
    r"((?:'(?:[^']|'')+'|[\w.:\]]+)!)?"  # a sheet, sheets from : to, or one of another [book]
    r"\$?\b(?:[A-Z]{1,3}\$?(\d+)(?::\$?[A-Z]{1,3}\$?(\d+))?|(\d+):\$?(\d+))\b(?!\()",
    re.IGNORECASE,
)


def check_references(book: Any, gone: list[int], last: int) -> None:
    """Refuse a workbook in which something would name other cells once rows of its first sheet are dropped.

    Cells above those rows may be named, and ranges from there to the last row, but not by rules, whose references
    are meant from cell to cell.

    Parameters
    ----------
    book : Workbook
    gone : list of int
        Lines of the first sheet, sorted.
    last : int
        Its last line that is filled.

    Raises
    ------
    ValueError
        If a conditional format, a data validation, a formula of another sheet, a name or a chart would.
    """
    first = book.worksheets[0]
    for sheet in book.worksheets:
        for formula in _rules(sheet):
            for found in _cells_of(first, formula, sheet is first):
                _refuse("a conditional format or a data validation", found)
    for what, formula in (*_formulas(book.worksheets[1:]), *_names(book), *_chart_ranges(book)):
        for found in _cells_of(first, formula):
            top, bottom = int(found[2] or found[4]), int(found[3] or found[5] or found[2])
            if bottom >= gone[0] and (top > gone[0] or bottom < last):
                _refuse(what, found)


def _refuse(what: str, found: re.Match[str]) -> None:
    """Raise ValueError about a reference."""
    raise ValueError(
        f"rows cannot be dropped: {what} goes by {found[0]}; take it out of the file first, or take another policy"
    )


def _cells_of(sheet: Any, formula: str, here: bool = False) -> Iterator[re.Match[str]]:
    """References of a formula to cells of a sheet; those without the name of a sheet are some if it stands `here`."""
    for found in CELLS.finditer(QUOTED.sub("", formula)):
        named = (found[1] or "")[:-1].strip("'").replace("''", "'")
        if here if found[1] is None else sheet.title.casefold() in named.casefold().split(":"):
            yield found


def _rules(sheet: Any) -> Iterator[str]:
    """Formulas of conditional formats and data validations of a sheet."""
    rules = [rule for part in sheet.conditional_formatting for rule in part.rules]
    formulas = [formula for rule in rules for formula in rule.formula]
    formulas += [f for part in sheet.data_validations.dataValidation for f in (part.formula1, part.formula2)]
    return filter(None, formulas)


def _formulas(sheets: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Formulas in the cells of sheets, each behind words for it."""
    for sheet in sheets:
        for cell in [cell for cells in sheet.iter_rows() for cell in cells if cell.data_type == "f"]:
            text = getattr(cell.value, "text", cell.value)  # of an array formula, or itself
            if isinstance(text, str):
                yield f"the formula in {sheet.title}!{cell.coordinate}", text


def _names(book: Any) -> Iterator[tuple[str, str]]:
    """What names of a workbook and of its sheets stand for, each behind words for it."""
    for names in (book.defined_names, *(sheet.defined_names for sheet in book.worksheets)):
        for name, meaning in names.items():
            yield f"the name {name!r}", meaning.attr_text or ""


def _chart_ranges(book: Any) -> Iterator[tuple[str, str]]:
    """Ranges of charts, each behind words for it."""
    for sheet in (*book.worksheets, *book.chartsheets):
        for chart in sheet._charts:
            for element in chart._write().iter():
                if element.tag.rpartition("}")[2] == "f":
                    yield f"a chart of the sheet {sheet.title!r}", element.text or ""


def moved(refs: Iterable[str], gone: list[int]) -> list[str]:
    """Ranges of cells of a sheet that has lost some rows, sorted; without those that lost all of theirs."""
    from openpyxl.utils import get_column_letter, range_boundaries

    found = []
    for ref in refs:
        left, top, right, bottom = range_boundaries(ref)
        top, bottom = top - bisect_left(gone, top), bottom - bisect_right(gone, bottom)
        if top <= bottom:
            found.append(f"{get_column_letter(left)}{top}:{get_column_letter(right)}{bottom}")
    return found


def move_up(sheet: Any, gone: list[int]) -> None:
    """Fit what is not in the cells to a sheet that has lost some rows, sorted."""
    kept = {line: sheet.row_dimensions[line] for line in sorted({*sheet.row_dimensions} - {*gone})}
    sheet.row_dimensions.clear()
    for line, form in kept.items():
        form.index = line - bisect_left(gone, line)
        sheet.row_dimensions[form.index] = form
    for cell in [cell for row in sheet.iter_rows() for cell in row if cell.hyperlink]:
        cell.hyperlink.ref = cell.coordinate
    _move_tables(sheet, gone)
    _move_ranges(sheet, gone)
    _move_pictures(sheet, gone)


def _move_tables(sheet: Any, gone: list[int]) -> None:
    """Ranges of tables and filters, which keep a row below their header."""
    from openpyxl.utils import get_column_letter, range_boundaries

    tables = list(sheet.tables.values())
    for part in (*tables, *(table.autoFilter for table in tables), sheet.auto_filter):
        if part is not None and part.ref:
            left, top, right, bottom = range_boundaries(part.ref)
            top, bottom = top - bisect_left(gone, top), bottom - bisect_right(gone, bottom)
            part.ref = f"{get_column_letter(left)}{top}:{get_column_letter(right)}{max(bottom, top + 1)}"


def _move_ranges(sheet: Any, gone: list[int]) -> None:
    """Merged cells, data validations, conditional formats and the print area."""
    from openpyxl.formatting.formatting import ConditionalFormatting, ConditionalFormattingList
    from openpyxl.worksheet.cell_range import MultiCellRange

    def fit(ranges: Any) -> MultiCellRange:
        return MultiCellRange(" ".join(moved((part.coord for part in ranges.sorted()), gone)))

    merged = fit(sheet.merged_cells)
    sheet.merged_cells = MultiCellRange({part for part in merged.ranges if part.size != {"rows": 1, "columns": 1}})
    validations = sheet.data_validations.dataValidation
    for validation in validations:
        validation.sqref = fit(validation.sqref)
    sheet.data_validations.dataValidation = [part for part in validations if part.sqref.ranges]
    formats, sheet.conditional_formatting = sheet.conditional_formatting, ConditionalFormattingList()
    for part in formats:
        ranges = fit(part.sqref)
        for rule in part.rules if ranges.ranges else ():
            sheet.conditional_formatting.add(ConditionalFormatting(ranges, part.pivot), rule)
    sheet.print_area = moved((part.coord for part in sheet._print_area.sorted()), gone)


def _move_pictures(sheet: Any, gone: list[int]) -> None:
    """Pictures and charts move with the row that they begin in; a picture of a lost row is lost."""
    sheet._images = [picture for picture in sheet._images if _first_line(picture.anchor) not in gone]
    for part in (*sheet._images, *sheet._charts):
        up = bisect_left(gone, _first_line(part.anchor))
        for corner in ("_from", "to") if up else ():
            if hasattr(part.anchor, corner):
                getattr(part.anchor, corner).row -= up


def _first_line(anchor: Any) -> int:
    """Line of a sheet in which a drawing begins; 0 for one that does not move with the cells."""
    stays = not hasattr(anchor, "_from") or getattr(anchor, "editAs", None) == "absolute"
    return 0 if stays else int(anchor._from.row) + 1
