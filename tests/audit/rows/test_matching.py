import io

import numpy as np
import pandas as pd
import pytest
from issue_tables import issues_of

from noisyflywheel.audit.changes.corrections import apply_corrections
from noisyflywheel.audit.changes.decisions import check_decisions, known_labels, planned_changes
from noisyflywheel.audit.changes.workspace import csv_bytes
from noisyflywheel.audit.rows.identity import plain_cell, row_fingerprints
from noisyflywheel.audit.rows.matching import match_rows, read_issues

RAW = 'zip,x,day,flag,kind\n00510,NA,2024-01-31,True,01\n7,1.50,2024-02-01,FALSE,NA\n8,"1,5",,true,-x\n9,1e3,,,01\n'


@pytest.fixture
def table():
    return pd.read_csv(io.StringIO(RAW), dtype=str, keep_default_na=False)


@pytest.fixture
def issues(table):
    return issues_of(table, [True, False, True, False], [0.3, 0.9, 0.1, 0.8], ["NA", "NA", "01", "01"]).sort_values(
        "label_quality"
    )


def test_the_same_row_has_the_same_fingerprint_however_it_is_read(table):
    marks = row_fingerprints(table, ["kind"])
    for reading in ({}, {"parse_dates": ["day"]}, {"keep_default_na": False}, {"dtype": str}):
        assert list(row_fingerprints(pd.read_csv(io.StringIO(RAW), **reading), ["kind"])) == list(marks)
    assert len(set(marks)) == 4
    assert list(row_fingerprints(table[table.columns[::-1]], ["kind"])) == list(marks)
    assert list(row_fingerprints(table.assign(is_label_issue=True, kind="q"), ["kind"])) == list(marks)
    assert (row_fingerprints(table.assign(x="0"), ["kind"]) != marks).all()


@pytest.mark.parametrize(
    ("cell", "plain"),
    [("00510", "510"), (510.0, "510"), ("NA", ""), (" Yes ", "yes"), ("1,5", "1.5"), (1.5, "1.5"), (True, "true")]
    + [(pd.Timestamp("2024-01-31"), "2024-01-31"), ("1,234,567", "1,234,567"), ("inf", "")],
)
def test_plain_cells(cell, plain):
    assert plain_cell(cell) == plain


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-01-31T10:05:00", "2024-01-31T00:00:00"],
        ["2024-01-31 10:05", "2024-02-01 00:00"],
        ["2024-01-31T10:05:07.250Z", "2024-02-01T00:00:00.000Z"],
        ["2024-01-31T10:05:07+0100", "2024-02-01T00:00:00+0100"],
    ],
)
def test_times_are_the_same_as_text_and_read_as_dates(cells):
    text = pd.DataFrame({"day": cells})
    dates = pd.read_csv(io.StringIO(text.to_csv(index=False)), parse_dates=["day"])
    assert dates["day"].dtype.kind == "M"
    assert row_fingerprints(dates).tolist() == row_fingerprints(text).tolist()
    assert len(set(row_fingerprints(text))) == 2


def test_issues_survive_their_file(table, issues, tmp_path):
    (tmp_path / "issues.csv").write_bytes(csv_bytes(issues))
    assert "'-x" in (tmp_path / "issues.csv").read_text()
    again = read_issues(tmp_path / "issues.csv")
    assert list(again.given_label) == ["-x", "01", "01", "NA"]
    clean = apply_corrections(table, again, "refurbish", label="kind")
    assert list(clean.kind) == ["NA", "NA", "01", "01"]
    assert clean.drop(columns="kind").equals(table.drop(columns="kind"))
    with pytest.raises(ValueError, match=r"read it with|read_issues"):
        apply_corrections(table, pd.read_csv(tmp_path / "issues.csv"), "refurbish", label="kind")


@pytest.mark.parametrize("label", ["a\rb", "a\r\nb", "a\nb", "\r", 'a"\r'])
def test_labels_with_line_ends_survive_their_file(label):
    table = pd.DataFrame({"row": [1, 2], "given_label": [label, "x"], "label_quality": [0.1, 0.2]})
    written = csv_bytes(table)
    pd.testing.assert_frame_equal(read_issues(io.BytesIO(written)), table, check_dtype=False)
    assert written.endswith(b"\n2,x,0.2\n")


def test_whole_floats_as_labels_survive_their_file():
    given = np.array([0.0, 1.0, 1.0, 0.0])
    suggested = np.array([0.0, 0.0, 1.0, 0.0])
    issues = issues_of(
        pd.DataFrame({"x": range(4), "kind": given}), suggested != given, [0.9, 0.1, 0.8, 0.7], suggested
    )
    read = read_issues(io.StringIO(issues.to_csv(index=False)))
    decisions = pd.DataFrame({"row": [4], "decision": ["set"], "new_label": ["1"], "given_label": ["0"]})
    X, clean = apply_corrections((np.zeros((4, 1)), given), read, "refurbish", decisions=decisions)
    assert clean.dtype == given.dtype
    assert clean.tolist() == [0, 0, 1, 1]


def test_a_frame_of_other_rows_is_refused(table, issues):
    for other in (table[::-1], table.assign(x=["1", "2", "3", "4"]), table.iloc[[0, 2, 1, 3]]):
        with pytest.raises(ValueError, match="is not the row that was judged"):
            apply_corrections(other, issues, "drop", label="kind")
    with pytest.raises(ValueError, match="speaks of row 4, the data has 3 rows"):
        apply_corrections(table[:3], issues, "drop", label="kind")
    with pytest.raises(ValueError, match="row 3 of the data has the label 'q', issues says '-x'"):
        apply_corrections(table.assign(kind=["01", "NA", "q", "01"]), issues, label="kind")
    with pytest.raises(ValueError, match="label= is needed"):
        apply_corrections(table, issues)
    with pytest.raises(ValueError, match="each row's number"):
        match_rows(issues.assign(row=1), table, None)


def test_fingerprints_of_earlier_versions_are_known(table, issues):
    bare = issues.assign(fingerprint=issues.fingerprint.str[1:])
    for found, said in ((bare, issues), (issues, bare)):
        choice = said[["row", "fingerprint"]].assign(decision="drop")[:1]
        assert list(apply_corrections(table, found, label="kind", decisions=choice).index) == [0, 1, 3]
        with pytest.raises(ValueError, match="its content is another one"):
            planned_changes(found, decisions=choice.assign(fingerprint=said.fingerprint.iloc[1]))


def test_rows_without_a_label_count(table, issues):
    gap = table.assign(kind=["01", "", "-x", "01"])
    clean = apply_corrections(gap, issues[issues.row != 2], "drop", label="kind")
    assert list(clean.index) == [1, 3]
    flagged = apply_corrections(gap, issues[issues.row != 2], "flag", label="kind")
    assert list(flagged.is_label_issue) == [True, False, True, False]
    assert flagged.suggested_label[1] is None or pd.isna(flagged.suggested_label[1])


def test_arrays_are_matched_by_row(table, issues):
    _, y = apply_corrections((table, table.kind), issues.drop(columns="fingerprint"), "refurbish")
    assert list(y) == ["NA", "NA", "01", "01"]


def decided(*lines):
    return pd.DataFrame(lines, columns=["row", "decision", "new_label"])


def test_decisions_by_hand(table, issues):
    choice = decided((1, "accept", ""), (2, "set", "egg"), (3, "reject", ""), (4, "drop", ""))
    clean = apply_corrections(table, issues, label="kind", decisions=choice)
    assert list(clean.kind) == ["NA", "egg", "-x"]
    assert list(apply_corrections(table, issues, label="kind", decisions=choice[2:]).kind) == ["01", "NA", "-x"]
    rest = apply_corrections(table, issues, "refurbish", label="kind", decisions=choice[2:3])
    assert list(rest.kind) == ["NA", "NA", "-x", "01"]
    flagged = apply_corrections(table, issues, "flag", label="kind", decisions=choice[3:])
    assert list(flagged.is_label_issue) == [True, False, True]


def test_what_was_accepted_counts_though_another_label_is_suggested_now(issues):
    now = issues.assign(refurbished_label=["02", "-x", "=q", "01"])  # of rows 3, 1, 4, 2
    choice = decided((3, "accept", "'=z"), (1, "accept", ""), (4, "accept", "'=q"), (2, "accept", "NA"))
    assert planned_changes(now, decisions=choice)[["row", "to"]].values.tolist() == [[1, "-x"], [3, "=z"], [4, "=q"]]
    assert known_labels(now, choice).label.tolist() == ["=z", "-x", "=q", "NA"]


def test_a_class_that_begins_with_an_apostrophe_is_not_taken_for_a_guarded_one(table, issues):
    """`read_issues` has taken one apostrophe away, other readers of the same file have not."""
    named = table.assign(kind=["'=x", "NA", "-x", "'=x"])
    judged = issues.drop(columns="fingerprint").assign(given_label=named.kind.to_numpy()[issues.row - 1])
    for label in ("'=x", "''=x"):
        choice = decided((2, "set", label), (3, "set", "'=new"))
        assert list(apply_corrections(named, judged, label="kind", decisions=choice).kind) == [
            "'=x",
            "'=x",
            "=new",
            "'=x",
        ]


def test_flags_are_for_suspects_that_nobody_decided(table, issues):
    for kind in ("reject", "skip", "accept"):
        flagged = apply_corrections(table, issues, "flag", label="kind", decisions=decided((1, kind, "")))
        assert list(flagged.is_label_issue) == [False, False, True, False]
    plain = issues.drop(columns="fingerprint")
    _, _, mask = apply_corrections((table, table.kind), plain, "flag", decisions=decided((3, "reject", "")))
    assert list(mask) == [True, False, False, False]


def test_the_log_of_changes(issues):
    choice = decided((3, "skip", ""), (1, "accept", "")).assign(by="Ada", when="2024-05-01")
    log = planned_changes(issues, "refurbish", 0.75, choice)
    assert log.to_dict("records") == [
        {
            "row": 1,
            "fingerprint": issues.set_index("row").fingerprint[1],
            "action": "set",
            "from": "01",
            "to": "NA",
            "why": "decision: accept",
            "by": "Ada",
            "when": "2024-05-01",
        }
    ]
    assert planned_changes(issues).empty
    assert list(planned_changes(issues, "drop").action) == ["drop", "drop"]
    assert planned_changes(issues, decisions=decided((1, "accept", ""), (1, "reject", ""))).empty


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([(9, "accept", "")], "row 9, which was not judged"),
        ([(1, "maybe", "")], "unknown decision 'maybe'"),
        ([(1, "set", "")], "row 1: 'set' needs new_label"),
        ([(1, "set", " ")], "row 1: 'set' needs new_label"),
    ],
)
def test_decisions_that_are_refused(issues, lines, message):
    with pytest.raises(ValueError, match=message):
        planned_changes(issues, decisions=decided(*lines))


def test_decisions_on_other_rows_are_refused(issues):
    with pytest.raises(ValueError, match="its content is another one"):
        planned_changes(issues, decisions=decided((1, "accept", "")).assign(fingerprint="f" * 16))
    with pytest.raises(ValueError, match="decided on with the label 'q'"):
        planned_changes(issues, decisions=decided((1, "accept", "")).assign(given_label="q"))
    with pytest.raises(ValueError, match="need the column 'row'"):
        planned_changes(issues, decisions=pd.DataFrame({"decision": ["accept"]}))


@pytest.mark.parametrize(
    "line_ends",
    [("1,accept", "2.0,accept", ",", ",,,"), ("1.0,reject", "1,accept", " 1 ,drop"), ("1,accept", "01,skip")],
)
def test_the_last_decision_on_a_row_counts_however_its_number_is_written(issues, line_ends):
    made = read_issues(io.StringIO("row,decision,x,y\n" + "\n".join(line_ends) + "\n"))
    checked = check_decisions(made)
    assert checked.row.tolist() == list(
        dict.fromkeys(int(float(line.split(",")[0])) for line in line_ends if line[0] != ",")
    )
    last = [line.split(",")[1] for line in line_ends if line[0] != ","][-1]
    assert checked.decision.iloc[-1] == last
    planned_changes(issues, decisions=made)


@pytest.mark.parametrize("row", ["1.5", "abc", "", "inf", np.nan, None])
def test_a_decision_needs_the_number_of_a_row(row):
    with pytest.raises(ValueError, match="must be a whole number"):
        check_decisions(pd.DataFrame({"row": pd.Series([row], dtype=object), "decision": ["drop"]}))


def edited(issues, **cells):
    """The file of some issues, with other cells in its first line."""
    text = issues.astype(object)
    for name, cell in cells.items():
        text.iloc[0, text.columns.get_loc(name)] = cell
    return io.BytesIO(csv_bytes(text))


@pytest.mark.parametrize(
    ("cell", "suspect"),
    [("WAHR", True), ("vrai", True), (" true", True), ("1", True), ("FALSCH", False), ("faux", False), ("", False)],
)
def test_one_odd_truth_value_changes_no_other_row(issues, cell, suspect):
    again = read_issues(edited(issues, is_label_issue=cell))
    assert again.is_label_issue.dtype == bool
    assert again.is_label_issue.tolist() == [suspect, *issues.is_label_issue[1:]]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"is_label_issue": "no"}, "row 3: is_label_issue must be True or False, not 'no'"),
        ({"label_quality": "0,25"}, "row 3: label_quality must be a number with a decimal point, not '0,25'"),
        ({"refurbished_confidence": "high"}, "row 3: refurbished_confidence must be a number"),
    ],
)
def test_cells_that_cannot_be_read_are_named(issues, cells, message):
    with pytest.raises(ValueError, match=message):
        read_issues(edited(issues, **cells))
    assert np.isnan(read_issues(edited(issues, label_quality="")).label_quality[0])


def test_a_file_with_other_separators_or_columns_is_refused(issues):
    for sign in ";\t":
        with pytest.raises(ValueError, match="the columns are separated by"):
            read_issues(io.StringIO(issues.to_csv(index=False, sep=sign)))
    assert "a;b" in read_issues(edited(issues.assign(**{"a;b": 1})))
    with pytest.raises(ValueError, match="has no column 'refurbished_label'"):
        read_issues(edited(issues.drop(columns="refurbished_label")))
    with pytest.raises(ValueError, match="more cells than the header"):
        read_issues(io.StringIO("row,decision\n1,drop,x\n2,drop,x\n"))


@pytest.mark.parametrize(
    ("data", "word"), [(b"", "is empty"), ("row,decision,by\n1,drop,\xe4\n".encode("cp1252"), "CSV UTF-8")]
)
def test_files_that_are_no_text_of_ours_are_named(tmp_path, data, word):
    (tmp_path / "d.csv").write_bytes(data)
    with pytest.raises(ValueError, match=rf"d\.csv is .*{word.removeprefix('is ')}"):
        read_issues(tmp_path / "d.csv")
