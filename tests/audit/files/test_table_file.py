import gzip
import io
import json
import re
import sys
import zipfile

import pandas as pd
import pytest

from noisyflywheel.audit.files.table_file import first_line, guard_cell, guarded, open_table, unguard_cell
from noisyflywheel.audit.rows.identity import row_fingerprints


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("=1+1", "'=1+1"), ("+cmd", "'+cmd"), ("-x", "'-x"), ("@a", "'@a"), ("\tq", "'\tq"), ("'=x", "''=x")]
    + [("-3.5", "-3.5"), ("+4", "+4"), ("a=b", "a=b"), ("", ""), (-3, -3), (None, None), ("it's", "it's")]
    + [("-1 ", "'-1 "), ("-inf", "'-inf"), ("-1_000", "'-1_000"), ("+\u0665", "'+\u0665"), ("'-1", "''-1")],
)
def test_guard(cell, expected):
    assert guard_cell(cell) == expected
    assert unguard_cell(expected) == cell


def test_guarded_tables_keep_the_original():
    table = pd.DataFrame({"=f": ["=a", "b"], "n": [-1, 2], "c": pd.Categorical(["@x", "y"])})
    before = table.copy(deep=True)
    safe = guarded(table)
    assert list(safe.columns) == ["'=f", "n", "c"]
    assert safe.iloc[0].tolist() == ["'=a", -1, "'@x"]
    pd.testing.assert_frame_equal(table, before)


JSONL = b'{"a": 1.50, "kind": "ham"}\n{"a": null,"kind":"spam",  "deep": {"kind": 3}}\n\n{"kind": "h\\u00e4m"}\n'


def test_json_lines_come_back(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(JSONL)
    file = open_table(tmp_path / "t.jsonl")
    assert file.rendered({}) == JSONL
    assert list(file.frame["kind"]) == ["ham", "spam", "häm"]
    assert file.rendered({"kind": {0: "x", 2: "ü"}}) == JSONL.replace(b'"ham"', b'"x"').replace(
        b"h\\u00e4m", b"\\u00fc"
    )
    assert file.rendered({}, [1]) == b'{"a": 1.50, "kind": "ham"}\n{"kind": "h\\u00e4m"}\n'
    assert file.rendered({}, [2]).startswith(JSONL[:60])
    assert [json.loads(line) for line in file.rendered({}, [2]).splitlines() if line] == json.loads(
        "[" + JSONL.decode().split("\n\n")[0].replace("\n", ",") + "]"
    )


@pytest.mark.parametrize(
    ("row", "encoding", "written"),
    [
        ('{"ä": "ö"}', "utf-8", '"q": "ü"'),
        ('{"ä": "ö"}', "cp1252", '"q": "\\u00fc"'),
        ('{"a": "\\u00f6"}', "utf-8", '"q": "\\u00fc"'),
    ],
)
def test_added_cells_of_json_rows_have_the_letters_of_the_others(tmp_path, row, encoding, written):
    (tmp_path / "t.jsonl").write_text(row, encoding=encoding)
    added = open_table(tmp_path / "t.jsonl").rendered({}, (), {"q": ["ü"]})
    assert added.decode(encoding) == f"{row[:-1]}, {written}}}"


def test_cells_that_json_rows_lack_are_added(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"a": 1, "seen": true}\n{"a": 2}\n{}\n')
    file = open_table(tmp_path / "t.jsonl")
    changed = file.rendered({"seen": {0: False, 1: True, 2: None}, "a": {2: 3}}, (), {"q": ["x", "y", "z"]})
    assert [json.loads(line) for line in changed.splitlines()] == [
        {"a": 1, "seen": False, "q": "x"},
        {"a": 2, "seen": True, "q": "y"},
        {"a": 3, "seen": None, "q": "z"},
    ]
    assert file.rendered({"seen": {1: False}}, [0]) == b'{"a": 2, "seen": false}\n{}\n'


@pytest.mark.parametrize("dropped", [[0], [1], [2], [0, 1], [1, 2], [0, 2], [0, 1, 2]])
def test_a_json_list_stays_one(tmp_path, dropped):
    text = '[\n  {"kind": 1, "x": "é"},\n  {"kind": 2},\n  {"kind": 1}\n]\n'
    (tmp_path / "t.json").write_text(text, encoding="utf-8")
    file = open_table(tmp_path / "t.json")
    assert file.rendered({}).decode() == text
    rest = file.rendered({"kind": dict.fromkeys(range(3), 3)}, dropped).decode()
    kept = [item | {"kind": 3} for row, item in enumerate(json.loads(text)) if row not in dropped]
    assert json.loads(rest) == kept
    more = json.loads(file.rendered({}, (), {"q": [1, None, "z"]}))
    assert [item["q"] for item in more] == [1, None, "z"]


def test_parquet_keeps_types_and_order(tmp_path):
    table = pd.DataFrame(
        {
            "a": pd.array([1, None, 3], dtype="Int16"),
            "kind": pd.Categorical(["x", "y", "x"]),
            "t": pd.to_datetime(["2024-01-01", None, "2024-01-03"], utc=True),
        },
        index=pd.Index([7, 7, 9], name="no"),
    )
    table.to_parquet(tmp_path / "t.parquet")
    file = open_table(tmp_path / "t.parquet")
    assert list(file.frame.index) == [0, 1, 2]
    new = pd.read_parquet(io.BytesIO(file.rendered({"kind": {0: "y"}}, [2])))
    pd.testing.assert_frame_equal(new, table.assign(kind=pd.Categorical(["y", "y", "x"]))[:2], check_categorical=False)


@pytest.mark.parametrize("label", [2**53 + 1, -(2**53) - 1, 2**63 - 1])
def test_whole_numbers_of_parquet_keep_their_digits_beside_missing_ones(tmp_path, label):
    table = pd.DataFrame({"few": [1, None, 3], "none": [None] * 3, "kind": [label, None, 7]}, dtype="Int64")
    table.to_parquet(tmp_path / "t.parquet")
    file = open_table(tmp_path / "t.parquet")
    assert file.frame["kind"].tolist() == [label, None, 7]
    assert file.frame.dtypes[["few", "none"]].tolist() == [float, float]
    new = pd.read_parquet(io.BytesIO(file.rendered({"kind": {2: label}})))
    pd.testing.assert_frame_equal(new, table.assign(kind=pd.array([label, None, label], "Int64")))


def test_excel_keeps_the_rest_of_the_book(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in [["zip", "kind"], ["00510", "ham"], [None, None], ["007", "spam"], ["1", "ham"]]:
        sheet.append(row)
    sheet["A2"].font = openpyxl.styles.Font(bold=True)
    book.create_sheet("notes")["A1"] = "hello"
    book.save(tmp_path / "t.xlsx")
    file = open_table(tmp_path / "t.xlsx")
    assert list(file.frame["zip"]) == ["00510", "007", "1"]
    new = openpyxl.load_workbook(io.BytesIO(file.rendered({"kind": {1: "egg"}}, [2])))
    assert [cell.value for cell in new.active["B"]] == ["kind", "ham", None, "egg"]
    assert new.active["A2"].font.bold
    assert new["notes"]["A1"].value == "hello"


def save_computed(book, path, values):
    """Save a workbook as a spreadsheet program does: with the last values of the formulas of its first sheet."""
    plain = io.BytesIO()
    book.save(plain)

    def with_value(cell):
        kind, value = values.get(cell[1], ("n", ""))
        return f'<c r="{cell[1]}" t="{kind}"><f>{cell[2]}</f><v>{value}</v></c>'

    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("sheet1.xml"):
                data = re.sub(
                    r'<c r="(\w+)"[^>]*><f>([^<]*)</f><v ?/>(?:</v>)?</c>', with_value, data.decode()
                ).encode()
            new.writestr(name, data)


def test_parts_of_a_cell_keep_their_format(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book, rich = openpyxl.Workbook(), openpyxl.cell.rich_text
    half = rich.CellRichText("half ", rich.TextBlock(openpyxl.cell.text.InlineFont(b=True), " bold"))
    for row in (["x", "kind"], [half, "a"], [1, half], [half, half]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    file = open_table(tmp_path / "t.xlsx")
    assert file.frame.to_numpy().tolist() == [["half  bold", "a"], [1, "half  bold"], ["half  bold", "half  bold"]]
    new = openpyxl.load_workbook(io.BytesIO(file.rendered({"kind": {1: "b"}}, [0])), rich_text=True).active
    assert [list(row) for row in new.values] == [["x", "kind"], [1, "b"], [half, half]]


def test_labels_never_become_formulas_of_a_workbook(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book, label = openpyxl.Workbook(), '=HYPERLINK("http://x")'
    for line in (("x", "kind"), (1, "a"), (2, label), (3, "a")):
        book.active.append(line)
    book.active["B3"].data_type = "s"
    book.save(tmp_path / "t.xlsx")
    file = open_table(tmp_path / "t.xlsx")
    assert file.frame["kind"].tolist() == ["a", label, "a"]
    new = file.rendered({"kind": {0: label}}, (), {"=suggested": [label, "a", "a"]})
    sheet = openpyxl.load_workbook(io.BytesIO(new)).active
    assert [[cell.data_type for cell in line] for line in sheet["B1:C3"]] == [["s", "s"]] * 3
    assert [cell.value for cell in sheet[2]] == [1, label, label]


def test_formulas_of_the_first_sheet_become_their_values(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["x", "twice", "kind"], [1, "=A2*2", "=D1"], [2, "=A3*2", "b"], [3, "=A4*2", "c"], [4, "=A5*2", '=""']]:
        book.active.append(row)
    book.create_sheet("notes")["A1"] = "=1+1"
    values = {
        "B2": ("n", 2),
        "B3": ("n", 4),
        "B4": ("e", "#N/A"),
        "B5": ("n", 8),
        "C2": ("str", "=a"),
        "C5": ("str", ""),
    }
    save_computed(book, tmp_path / "t.xlsx", values)
    file = open_table(tmp_path / "t.xlsx")
    assert file.frame.values.tolist() == [[1, 2, "=a"], [2, 4, "b"], [3, None, "c"], [4, 8, None]]
    new = file.rendered({"kind": {2: "b"}}, [1])
    for values_only in (False, True):
        again = openpyxl.load_workbook(io.BytesIO(new), data_only=values_only)
        assert list(again.worksheets[0].values)[1:] == [(1, 2, "=a"), (3, "#N/A", "b"), (4, 8, None)]
    assert openpyxl.load_workbook(io.BytesIO(new))["notes"]["A1"].value == "=1+1"
    del values["B5"]
    save_computed(book, tmp_path / "t.xlsx", values)
    file = open_table(tmp_path / "t.xlsx")
    assert openpyxl.load_workbook(io.BytesIO(file.rendered({"kind": {2: "b"}}))).active["B5"].value == "=A5*2"
    with pytest.raises(ValueError, match="the formula in B5 has no value yet; open and save the file"):
        file.rendered({}, [1])


def test_equal_names_of_an_excel_sheet(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["kind", "x", "kind"], ["old", 1, "a"], ["old", 2, "b"]]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    file = open_table(tmp_path / "t.xlsx")
    assert list(file.frame) == ["kind", "x", "kind.1"]
    new = openpyxl.load_workbook(io.BytesIO(file.rendered({"kind.1": {0: "b"}}))).active
    assert list(new.values) == [("kind", "x", "kind"), ("old", 1, "b"), ("old", 2, "b")]


def test_errors_of_an_excel_sheet_are_missing(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["x", "kind"], [1.5, "a"], ["#DIV/0!", "b"], [2, "#N/A"], ["#REF!", "#N/A"]]:
        book.active.append(row)
    book.active["B4"].data_type = "s"  # a text that looks like an error
    book.save(tmp_path / "t.xlsx")
    file = open_table(tmp_path / "t.xlsx")
    assert file.frame.to_numpy().tolist() == [[1.5, "a"], [None, "b"], [2, "#N/A"], [None, None]]
    read = pd.read_excel(tmp_path / "t.xlsx")
    assert row_fingerprints(read, ["kind"]).tolist() == row_fingerprints(file.frame, ["kind"]).tolist()
    new = openpyxl.load_workbook(io.BytesIO(file.rendered({"kind": {1: "a"}}, [0]))).active
    assert list(new.values)[1:] == [("#DIV/0!", "a"), (2, "#N/A"), ("#REF!", "#N/A")]


def test_compressed_files(tmp_path):
    data = b"a,kind\r\n01,x\r\n02,y\r\n"
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(data))
    file = open_table(tmp_path / "t.csv.gz")
    assert file.ending == ".csv.gz"
    assert gzip.decompress(file.rendered({"kind": {0: "z"}})) == data.replace(b"x", b"z")
    zstandard = pytest.importorskip("zstandard")
    (tmp_path / "t.csv.zst").write_bytes(zstandard.compress(data))
    assert zstandard.decompress(open_table(tmp_path / "t.csv.zst").rendered({})) == data


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("pyarrow.parquet", "t.parquet", "parquet"), ("openpyxl", "t.xlsx", "excel"), ("zstandard", "t.csv.zst", "zstd")],
)
def test_a_missing_package_names_its_extra(tmp_path, monkeypatch, module, name, extra):
    (tmp_path / name).write_bytes(b"something")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"noisyflywheel\[{extra}\]"):
        open_table(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", b"", "is empty"),
        ("h.csv", b"a,b\n", "has no rows"),
        ("x.csv", b'a,b\n"1,2\n3', "cannot be read"),
        ("p.parquet", b"not parquet", "cannot be read"),
        ("w.xlsx", b"PK", "cannot be read"),
        ("w.doc", b"PK", "expected a file that ends in"),
        ("z.csv", b"\n\n\n", "cannot be read"),
        ("j.json", b'{"a": 1', "cannot be read"),
        ("k.json", b'[{"a": 1}', "cannot be read"),
        ("l.json", b"[1, 2]", "must be an object"),
        ("g.csv.gz", b"not gzip", "cannot be read"),
    ],
)
def test_what_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        open_table(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_first_line():
    assert first_line(ValueError("\n a \n b")) == "a"
    assert first_line(KeyError()) == "KeyError"
