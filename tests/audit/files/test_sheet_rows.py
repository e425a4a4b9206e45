import io
import re

import pytest
from PIL import Image

from noisyflywheel.audit.files.binary_tables import ExcelFile
from noisyflywheel.audit.files.table_file import open_table


def test_heights_and_tables_of_a_sheet_fit_the_rows_that_are_left(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [["x", "kind"], *([i, "a"] for i in range(6))]:
        sheet.append(row)
    sheet.row_dimensions[4].height, sheet.row_dimensions[6].height = 40, 60
    sheet.add_table(openpyxl.worksheet.table.Table(displayName="T", ref="A1:B7"))
    book.save(tmp_path / "t.xlsx")
    new = openpyxl.load_workbook(io.BytesIO(open_table(tmp_path / "t.xlsx").rendered({}, [0, 2, 5]))).active
    assert [new.row_dimensions[line].height for line in range(1, 5)] == [None, None, None, 60]
    table = new.tables["T"]
    assert (table.ref, table.autoFilter.ref) == ("A1:B4", "A1:B4")


def test_what_hangs_on_the_rows_of_a_sheet_moves_with_them(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [["url", "kind", "x"], *([f"row {i}", "ab"[i % 2], i] for i in range(6))]:
        sheet.append(row)
    for line in range(2, 8):
        sheet.cell(line, 1).hyperlink = f"http://x/{line - 2}"
    sheet["C6"].comment = openpyxl.comments.Comment("of row 4", "me")
    for ref in ("C2:D2", "C4:C5", "C6:D6"):
        sheet.merge_cells(ref)
    listed = openpyxl.worksheet.datavalidation.DataValidation(type="list", formula1='"a,b2"')
    listed.sqref = openpyxl.worksheet.cell_range.MultiCellRange("B2:B3 B6:B7")
    sheet.add_data_validation(listed)
    rule = openpyxl.formatting.rule.CellIsRule(operator="greaterThan", formula=["1"])
    for ref in ("C7", "C3:C5", "D2:D3"):
        sheet.conditional_formatting.add(ref, rule)
    sheet.print_area = "A1:C7"
    book.save(tmp_path / "t.xlsx")
    (tmp_path / "new.xlsx").write_bytes(open_table(tmp_path / "t.xlsx").rendered({}, [0, 1, 3]))
    new = openpyxl.load_workbook(tmp_path / "new.xlsx").active
    assert [[cell.value for cell in row[:3]] for row in new.iter_rows()] == [
        ["url", "kind", "x"],
        ["row 2", "a", 2],
        ["row 4", "a", 4],
        ["row 5", "b", 5],
    ]
    assert [new.cell(line, 1).hyperlink.target for line in range(2, 5)] == ["http://x/2", "http://x/4", "http://x/5"]
    assert [new.cell(line, 3).comment is not None for line in range(2, 5)] == [False, True, False]
    assert [part.coord for part in new.merged_cells.ranges] == ["C3:D3"]
    assert [str(part.sqref) for part in new.data_validations.dataValidation] == ["B3:B4"]
    assert [str(part.sqref) for part in new.conditional_formatting] == ["C4", "C2"]
    assert new.print_area == "'Sheet'!$A$1:$C$4"
    assert len(open_table(tmp_path / "new.xlsx").frame) == 3


@pytest.mark.parametrize(
    ("formula", "named"),
    [("$C2>1", "$C2"), ("ISERROR(A1)", "A1"), ("Sheet!$D$2:$D$4", "Sheet!"), ("list!$D$2:$D$4", None)]
    + [('"A1,B2"', None), ("LOG10(2)", None), ("$C:$C", None)],
)
def test_rows_stay_where_a_rule_of_the_sheet_goes_by_cells(tmp_path, formula, named):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["x", "kind"], *([i, "ab"[i % 2]] for i in range(4))]:
        book.active.append(row)
    listed = openpyxl.worksheet.datavalidation.DataValidation(type="list", formula1=formula, sqref="B2:B5")
    book.active.add_data_validation(listed)
    book.save(tmp_path / "v.xlsx")
    book.active.data_validations.dataValidation = []
    book.active.conditional_formatting.add("B2:B5", openpyxl.formatting.rule.FormulaRule(formula=[formula]))
    book.save(tmp_path / "c.xlsx")
    for name in ("v.xlsx", "c.xlsx"):
        file = open_table(tmp_path / name)
        file.rendered({"kind": {0: "b"}})
        if named is None:
            file.rendered({}, [1])
        else:
            with pytest.raises(ValueError, match=f"rows cannot be dropped: .* goes by {re.escape(named)}"):
                file.rendered({}, [1])


@pytest.fixture
def book():
    """Three columns and six rows, in lines 2 to 7 of "It's one", and an empty second sheet."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "It's one"
    for row in [["x", "y", "kind"], *([i, i * i, "ab"[i % 2]] for i in range(6))]:
        book.active.append(row)
    book.create_sheet("Summary")
    return book


def without_rows(book, rows):
    """The workbook as it is read again from its file without some rows of data."""
    openpyxl = pytest.importorskip("openpyxl")
    written, new = io.BytesIO(), io.BytesIO()
    book.save(written)
    file = ExcelFile(written.getvalue())
    file.rendered({"kind": {0: "b"}})
    new.write(file.rendered({}, rows))
    return openpyxl.load_workbook(new)


@pytest.mark.parametrize("cells", ["C5", "$C$4", "C2:C4", "C5:C7", "$B5:$C9", "5:5", "$2:$4"])
@pytest.mark.parametrize("kind", ["formula", "array", "name", "own name", "chart"])
def test_rows_stay_where_something_else_goes_by_their_cells(book, kind, cells):
    point_at(book, kind, f"'It''s one'!{cells}")
    with pytest.raises(ValueError, match=rf"cannot be dropped: .* goes by 'It''s one'!{re.escape(cells)};.* policy"):
        without_rows(book, [2, 3])


@pytest.mark.parametrize("cells", ["C1", "C3", "C2:C7", "$C$1:$C$9", "C4:C7", "C:C", "$1:$3", "2:7"])
@pytest.mark.parametrize("kind", ["formula", "array", "name", "own name", "chart"])
def test_rows_go_where_the_same_cells_are_meant_without_them(book, kind, cells):
    point_at(book, kind, f"'It''s one'!{cells}")
    assert without_rows(book, [2, 3]).worksheets[0].max_row == 5


def point_at(book, kind, cells):
    """Let something in the workbook name cells."""
    openpyxl = pytest.importorskip("openpyxl")
    sheet, names = book["Summary"], openpyxl.workbook.defined_name
    if kind == "formula":
        sheet["B2"] = f'=COUNTIF({cells},"A9")'
    elif kind == "array":
        sheet["B2"] = openpyxl.worksheet.formula.ArrayFormula("B2:B3", f"=SUM({cells})")
    elif kind == "chart":
        chart = openpyxl.chart.BarChart()
        chart.series.append(openpyxl.chart.Series(openpyxl.chart.Reference(sheet, range_string="Summary!$A$1:$A$2")))
        chart.series[0].val.numRef.f = cells
        sheet.add_chart(chart, "D5")
    else:
        (book if kind == "name" else sheet).defined_names["best"] = names.DefinedName("best", attr_text=cells)


@pytest.mark.parametrize(
    ("formula", "goes"),
    [("=A5", True), ("='It''s two'!A5", True), ("='[1]It''s one'!A5", True), ("=\"'It''s one'!A5\"", True)]
    + [("=SUM('It''s one:Summary'!A5)", False), ("=LOG10('It''s one'!A5)", False), ("=one!A5", True)],
)
def test_which_formulas_of_another_sheet_go_by_the_first(book, formula, goes):
    book["Summary"]["A1"] = formula
    if goes:
        assert without_rows(book, [0])["Summary"]["A1"].value == formula
    else:
        with pytest.raises(ValueError, match="the formula in Summary!A1 goes by"):
            without_rows(book, [0])


def test_rules_of_another_sheet_that_go_by_the_first(book):
    openpyxl = pytest.importorskip("openpyxl")
    rule = openpyxl.formatting.rule.FormulaRule(formula=["A1=1"])
    book["Summary"].conditional_formatting.add("A1:A9", rule)
    without_rows(book, [4])
    rule.formula = ["'It''s one'!A1=1"]
    with pytest.raises(ValueError, match="a conditional format or a data validation goes by 'It''s one'!A1"):
        without_rows(book, [4])


def test_pictures_and_charts_move_with_their_rows(book):
    openpyxl = pytest.importorskip("openpyxl")
    marker, sheet = openpyxl.drawing.spreadsheet_drawing, book.active
    wide = marker.TwoCellAnchor(_from=marker.AnchorMarker(4, 0, 3, 0), to=marker.AnchorMarker(5, 0, 5, 0))
    fixed = marker.TwoCellAnchor("absolute", _from=marker.AnchorMarker(4, 0, 5, 0), to=marker.AnchorMarker(5, 0, 6, 0))
    for line, anchor in [(1, "E1"), (3, "E3"), (4, wide), (5, "E5"), (6, fixed), (7, "E7")]:
        Image.new("RGB", (8 * line, 4)).save(drawn := io.BytesIO(), "png")
        sheet.add_image(openpyxl.drawing.image.Image(drawn), anchor)
    for place in ("G3", "G7"):
        sheet.add_chart(openpyxl.chart.BarChart(), place)
    new = without_rows(book, [1, 3]).active  # lines 3 and 5
    places = {picture.width // 8: picture.anchor._from.row + 1 for picture in new._images}
    assert places == {1: 1, 4: 3, 6: 6, 7: 5}
    assert {picture.anchor.to.row + 1 for picture in new._images if hasattr(picture.anchor, "to")} == {5, 7}
    assert [chart.anchor._from.row + 1 for chart in new._charts] == [3, 5]
