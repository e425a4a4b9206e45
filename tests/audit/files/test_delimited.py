import csv
import io

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from noisyflywheel.audit.files.delimited import DelimitedFile, Dialect, sniff, split_records

PLAIN = b"a,b,kind\n1,x,ham\n2,y,spam\n3,z,ham\n"
BODY = "a;kind;b\n1,5;hám;ü\n2,5;spam;ß\n3,5;hám;–\n"
NASTY = {
    "plain": (PLAIN, ",", {}),
    "windows line ends": (PLAIN.replace(b"\n", b"\r\n"), ",", {}),
    "old mac line ends": (PLAIN.replace(b"\n", b"\r"), ",", {}),
    "mixed line ends": (b"a,kind\r\n1,ham\n2,spam\r3,ham\r\n", ",", {}),
    "no last line end": (PLAIN[:-1], ",", {}),
    "many last line ends": (PLAIN + b"\n\n\r\n", ",", {}),
    "empty lines": (PLAIN.replace(b"\n2", b"\n\n\n2"), ",", {}),
    "leading zeros and NA": (b"zip,kind,n\n00510,ham,NA\n00042,spam,nan\n1e5,ham,None\n", ",", {}),
    "numbers as they are": (b"x,kind\n1.50,ham\n+2,spam\n 3.0 ,ham\n.5,spam\n1_000,ham\n", ",", {}),
    "semicolons and decimal commas": (b"x;kind;y\n1,50;ham;2\n2,25;spam;3\n", ";", {}),
    "tabs": (PLAIN.replace(b",", b"\t"), "\t", {}),
    "bars": (PLAIN.replace(b",", b"|"), "|", {}),
    "commas inside quotes": (b'a,kind\n"x, y",ham\n"1,2,3",spam\n', ",", {}),
    "line ends inside quotes": (b'a,kind\n"x\ny",ham\n"p\r\nq\r",spam\n', ",", {}),
    "doubled quotes": (b'a,kind\n"say ""hi""",ham\n"""",spam\n"",ham\n', ",", {}),
    "all quoted": (b'"a","kind"\n"1","ham"\n"2","spam"\n', ",", {}),
    "labels quoted, numbers not": (b'a,kind\n1,"ham"\n2,"spam"\n', ",", {}),
    "quotes inside bare cells": (b'a,kind\n5" pipe,ham\nx"y"z,spam\n', ",", {}),
    "text after a quote": (b'a,kind\n"x" y,ham\n"p""q"r,spam\n', ",", {}),
    "labels with apostrophes": (b"a,kind\n1,it's\n2,'spam\n3,it's\n", ",", {}),
    "formulas": (b"a,kind\n=1+1,=ham\n@x,-spam\n+y,=ham\n", ",", {}),
    "labels with white space": (b"a,kind\n1, ham \n2,ham\n3,\tham\n", ",", {}),
    "labels that look like other things": (b"a,kind\n1,NA\n2,None\n3,01\n4,1\n5,True\n6,null\n", ",", {}),
    "utf-8 with mark": (b"\xef\xbb\xbf" + BODY.encode(), ";", {}),
    "utf-16 little with mark": (b"\xff\xfe" + BODY.encode("utf-16-le"), ";", {}),
    "utf-16 big with mark": (b"\xfe\xff" + BODY.encode("utf-16-be"), ";", {}),
    "utf-16 without mark": (BODY.encode("utf-16-le"), ";", {}),
    "windows western": (BODY.encode("cp1252"), ";", {}),
    "latin with undefined bytes": (b"a,kind\n\x81\x8d,ham\n\x90\xff,spam\n", ",", {}),
    "shift-jis by name": ("a,kind\nテスト,犬\n表,猫\n".encode("shift_jis"), ",", {"encoding": "shift_jis"}),
    "excel's first line in quotes": (b'"sep=;"\na;kind\n1,5;ham\n2;spam\n', ";", {}),
    "a quote behind a blank, inside quotes": (b'kind,a\n1,ham," ""x"" y"\n2,spam,z\n', ",", {}),
    "excel's first line": (b"sep=;\r\na;kind\r\n1,5;ham\r\n2;spam\r\n", ";", {}),
    "short rows": (b"a,kind,b,c\n1,ham\n2,spam,x\n3,ham,y,z\n", ",", {}),
    "trailing delimiters": (b"a,kind,\n1,ham,\n2,spam,\n", ",", {}),
    "more empty cells than names": (b"a,kind\n1,ham,,\n2,spam,\n", ",", {}),
    "row names without a header": (b'"a","kind"\n"1",5,"ham"\n"2",6,"spam"\n', ",", {}),
    "equal names": (b"a,a,kind,a\n1,2,ham,3\n4,5,spam,6\n", ",", {}),
    "unicode line separators": ("a,kind\nx\u2028y\x85z\x0b,ham\n\x1c,spam\n".encode(), ",", {}),
    "nul bytes": (b"a,kind\nx\x00y,ham\nz,spam\n", ",", {}),
    "given delimiter": (b"a~kind\n1,2~ham\n3,4~spam\n", "~", {"delimiter": "~"}),
    "apostrophes as quotes": (b"a,kind\n'x, y',ham\n'it''s',spam\n", ",", {"quote": "'"}),
    "backslash quotes": (b'a,kind\n"say \\"hi\\", he",ham\n"b",spam\n"c\\\\",ham\n', None, {}),
    "no quotes": (b'a,kind\n"x,ham\ny",spam\n', ",", {"quote": ""}),
    "one row": (b"a,kind\n1,ham", ",", {}),
    "decomposed and wide letters": ("a,kind\ne\u0301,\U0001f41f\nx,ham\n".encode(), ",", {}),
}


def cells_of(text, delimiter, quote='"'):
    """Cells by the standard library."""
    form = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **form))
    return [row for row in rows if row]


@pytest.mark.parametrize("name", NASTY)
def test_nasty_files_come_back(name):
    data, delimiter, options = NASTY[name]
    file = DelimitedFile(data, **options)
    assert file.rendered({}) == data
    labels, place = file.frame()["kind"], file.names.index("kind")
    classes = list(dict.fromkeys(labels))
    other = {row: classes[(classes.index(label) + 1) % len(classes)] for row, label in enumerate(labels)}
    new = file.rendered({"kind": other})
    again = DelimitedFile(new, **options)
    assert list(again.frame()["kind"]) == list(other.values())
    assert again.frame().drop(columns="kind").equals(file.frame().drop(columns="kind"))
    assert again.rendered({"kind": dict(enumerate(labels))}) == data
    if delimiter is not None:
        skip = 1 if name.startswith("excel's first line") else 0
        quote = options.get("quote", '"')
        before, after = (cells_of(f.encoded.text, delimiter, quote)[1 + skip :] for f in (file, again))
        for row, (old, now) in enumerate(zip(before, after, strict=True)):
            assert now[place] == other[row]
            assert [c for i, c in enumerate(old) if i != place] == [c for i, c in enumerate(now) if i != place]


@pytest.mark.parametrize("name", NASTY)
def test_dropping_cuts_whole_rows(name):
    data, _, options = NASTY[name]
    file = DelimitedFile(data, **options)
    n = len(file.records)
    for row in range(n):
        rest = file.rendered({}, [row])
        record = file.records[row]
        text = file.encoded.text
        assert rest == file.encoded.to_bytes(text[: record.start] + text[record.stop :])
        if n > 1 and name != "backslash quotes":  # without its first row that file has other quotes
            assert DelimitedFile(rest, **options).frame().equals(file.frame().drop(index=row).reset_index(drop=True))


def test_there_are_thirty_nasty_files():
    assert len(NASTY) >= 30


SIGNS = st.text(st.sampled_from("ab1,;\t|\"' \r\n\\éß犬=\u2028"), max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(SIGNS, st.sampled_from(["ham", "spam", "NA", "x y"]), SIGNS), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    line=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    last=st.booleans(),
    change=st.sets(st.integers(0, 5)),
)
def test_any_written_table_comes_back(rows, delimiter, line, quoting, codec, last, change):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, lineterminator=line, quoting=quoting).writerows([("p", "kind", "q"), *rows])
    text = buffer.getvalue() if last else buffer.getvalue()[: -len(line)]
    assume(cells_of(text, delimiter)[1:] == [list(row) for row in rows])  # the writer leaves some line ends bare
    data = text.encode(codec)
    file = DelimitedFile(data, delimiter=delimiter)
    assert [tuple(row) for row in file.frame().to_numpy()] == rows
    assert file.rendered({}) == data
    new = {row: "egg" for row in change if row < len(rows)}
    changed = cells_of(file.rendered({"kind": new}).decode(codec), delimiter)[1:]
    assert changed == [[a, new.get(i, kind), b] for i, (a, kind, b) in enumerate(rows)]


def test_only_the_label_cells_differ_by_hand():
    file = DelimitedFile(b'a;"kind";d\r\n1,5;ham;k\r\n\r\n2;"x ""y""";"l"\r\n3;ham')
    assert file.rendered({"kind": {0: "l;m", 1: "k"}}, [2]) == b'a;"kind";d\r\n1,5;"l;m";k\r\n\r\n2;"k";"l"\r\n'
    marked = file.rendered({}, (), {"q": [1, "p;q", 3]})
    assert marked == b'a;"kind";d;q\r\n1,5;ham;k;1\r\n\r\n2;"x ""y""";"l";"p;q"\r\n3;ham;;3'


def test_added_cells_stand_in_their_columns_where_rows_end_in_delimiters():
    file = DelimitedFile(b'a,kind\n1,ham,\n2,"sp,am",,""\n3,ham\n4\n')
    marked = file.rendered({"kind": {0: "egg"}}, [2], {"q": list("wxyz"), "r": list("WXYZ")})
    assert marked == b'a,kind,q,r\n1,egg,w,W\n2,"sp,am",x,X\n4,,z,Z\n'
    assert DelimitedFile(marked).frame()["q"].tolist() == ["w", "x", "z"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'a,b\n1,"x\n2,y\n', "line 2: a quote is opened and never closed"),
        (b"a,b\n1,x\n2,y,z\n", r"row 2 \(line 3\) has 3 cells, the header has 2$"),
        (b'a, b\n1, x\n2, "y, z"\n', r"row 2 \(line 3\) has 3 cells, the header has 2 \(a quote behind a blank"),
        (b'a, b\n1, "x, y"\n', r"row 1 \(line 2\) has 3 cells, the header has 2 \(a quote behind a blank"),
        (b'a,b\n"p\nq",x\n2,y,z\n', r"row 2 \(line 4\)"),
        (b"\n\n", "there are no rows"),
    ],
)
def test_what_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        DelimitedFile(data, delimiter=",")


def test_what_cannot_be_written_or_read():
    with pytest.raises(ValueError, match="'犬' cannot be written in cp1252"):
        DelimitedFile("a,kind\né,x\n".encode("cp1252")).rendered({"kind": {0: "犬"}})
    with pytest.raises(ValueError, match="the file has no quotes"):
        DelimitedFile(b"a,kind\n1,x\n", quote="").rendered({"kind": {0: "p,q"}})
    with pytest.raises(ValueError, match="unknown encoding"):
        DelimitedFile(PLAIN, encoding="klingon")
    with pytest.raises(ValueError, match="not text in ascii"):
        DelimitedFile("a,b\né,x\n".encode(), encoding="ascii")
    with pytest.raises(ValueError, match="one character"):
        Dialect("ab")


def test_sniffing_prefers_what_parts_all_rows_alike():
    assert sniff("a;b\n1,2;3,4\n").delimiter == ";"
    assert sniff("alone\nx\n").delimiter == ","
    assert sniff('a,b\n"p;q;r",1\n').delimiter == ","
    assert [r.cells for r in split_records("x,y\n", Dialect(","))] == [["x", "y"]]


def test_cells_that_short_rows_lack_are_filled_in_their_own_row():
    file = DelimitedFile(b'x,kind,flag,"q",s\n1,a\n2,b,True,0.1,a\n"3",a,\n4,b')
    flags = {"flag": dict(enumerate("pqrs")), "q": dict(enumerate("wxyz")), "s": {1: "k", 2: "l,m", 3: ""}}
    marked = file.rendered(flags)
    assert marked == b'x,kind,flag,"q",s\n1,a,p,w\n2,b,q,x,k\n"3",a,r,y,"l,m"\n4,b,s,z'
    assert file.rendered({"s": {0: "", 3: "k"}}) == b'x,kind,flag,"q",s\n1,a\n2,b,True,0.1,a\n"3",a,\n4,b,,,k'
    both = file.rendered({"q": {0: "w"}}, [1, 2], {"t": [1, 2, 3, 4]})
    assert both == b'x,kind,flag,"q",s,t\n1,a,,w,,1\n4,b,,,,4'
