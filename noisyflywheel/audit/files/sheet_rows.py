"""What hangs on the rows of an Excel sheet, moved with them where rows are dropped."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any

QUOTED = re.compile(r'"[^"]*"')
CELLS = re.compile(r"((?:'[^']+'|[\w.]+)!)?\$?\b[A-Z]{1,3}\$?\d+(?::\$?[A-Z]{1,3}\$?\d+)?\b(?!\()")


def check_rules(sheet: Any) -> None:
    """Refuse a sheet with rules that would name other cells once rows are dropped.

    Raises
    ------
    ValueError
        If the formula of a conditional format or a data validation names cells of this sheet.
    """
    rules = [rule for part in sheet.conditional_formatting for rule in part.rules]
    formulas = [formula for rule in rules for formula in rule.formula]
    formulas += [f for part in sheet.data_validations.dataValidation for f in (part.formula1, part.formula2)]
    for formula in filter(None, formulas):
        for found in CELLS.finditer(QUOTED.sub("", formula)):
            if found[1] is None or found[1].strip("!'") == sheet.title:
                raise ValueError(
                    f"rows cannot be dropped: a conditional format or a data validation goes by {found[0]}; "
                    "take it out of the file first, or take another policy"
                )


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
