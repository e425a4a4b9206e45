import pandas as pd
import pytest

from noisyflywheel.audit.files import first_line, guard_cell, guarded, read_table, separator, write_table


@pytest.mark.parametrize(
    ("head", "expected"), [("a,b", ","), ("a;b;c", ";"), ("a\tb", "\t"), ("a|b", "|"), ("alone", ",")]
)
def test_separator(head, expected):
    assert separator(head) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("=1+1", "'=1+1"), ("+cmd", "'+cmd"), ("-x", "'-x"), ("@a", "'@a"), ("\tq", "'\tq")]
    + [("-3.5", "-3.5"), ("+4", "+4"), ("a=b", "a=b"), ("", ""), (-3, -3), (None, None)],
)
def test_guard(cell, expected):
    assert guard_cell(cell) == expected


def test_guarded_tables_keep_the_original():
    table = pd.DataFrame({"=f": ["=a", "b"], "n": [-1, 2], "c": pd.Categorical(["@x", "y"])})
    before = table.copy(deep=True)
    safe = guarded(table)
    assert list(safe.columns) == ["'=f", "n", "c"]
    assert safe.iloc[0].tolist() == ["'=a", -1, "'@x"]
    pd.testing.assert_frame_equal(table, before)


def test_read_and_write(tmp_path):
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "é"]})
    for name in ("t.csv", "t.parquet"):
        pd.testing.assert_frame_equal(read_table(write_table(table, tmp_path / name)), table)
    (tmp_path / "w.csv").write_bytes("a;b\n1;é\n".encode("cp1252"))
    assert read_table(tmp_path / "w.csv").b.tolist() == ["é"]
    (tmp_path / "bom.csv").write_bytes("﻿a,b\n1,2\n".encode())
    assert list(read_table(tmp_path / "bom.csv").columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", b"", "is empty"),
        ("h.csv", b"a,b\n", "has no rows"),
        ("x.csv", b'a,b\n"1,2\n3', "cannot be read"),
        ("p.parquet", b"not parquet", "cannot be read"),
        ("w.xlsx", b"PK", "expected a file that ends in"),
        ("z.csv", b"\n\n\n", "cannot be read"),
    ],
)
def test_what_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_table(tmp_path / name)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_first_line():
    assert first_line(ValueError("\n a \n b")) == "a"
    assert first_line(KeyError()) == "KeyError"
