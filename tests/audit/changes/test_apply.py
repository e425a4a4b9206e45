import gzip
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from noisyflywheel.audit.changes.apply import apply_folder, undo_folder
from noisyflywheel.audit.changes.cleaned import flagged_bytes, new_classes
from noisyflywheel.audit.changes.workspace import (
    Origin,
    csv_bytes,
    issues_name,
    load_origin,
    save_origin,
    sha256,
)
from noisyflywheel.audit.files.table_file import open_table
from noisyflywheel.audit.rows.matching import read_issues, with_identity
from noisyflywheel.estimator.fitted.issues import label_issues_frame

DATA = b'zip;x;kind\r\n00510;1,5;NA\r\n007;"2;5";ham\r\n\r\n1;NA;"NA"\r\n2;x;ham'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "t.csv").write_bytes(DATA)
    out = tmp_path / "out"
    out.mkdir()
    table = pd.DataFrame(
        {"zip": ["00510", "007", "1", "2"], "x": ["1,5", "2;5", "NA", "x"], "kind": ["NA", "ham", "NA", "ham"]}
    )
    q = np.array([[0.2, 0.8], [0.9, 0.1], [0.3, 0.7], [0.4, 0.6]])
    issues = label_issues_frame(table.kind, ["NA", "ham"], [0.1, 0.2, 0.3, 0.9], [0.25] * 4, q, q)
    issues = with_identity(issues, table, "kind", np.arange(4))
    (out / "issues.csv").write_bytes(csv_bytes(issues))
    save_origin(out, Origin("../in/t.csv", "kind", issues_sha256=sha256(out / "issues.csv")))
    return out


def decide(folder, *lines):
    head = "row,decision,new_label,by,when"
    (folder / "decisions.csv").write_text("\n".join([head, *lines]) + "\n")


def test_decisions_change_their_cells_only(folder):
    decide(folder, "1,accept,,Ada,2024-05-01", "2,drop,,Ada,2024-05-02", "3,set,e;gg,Bob,2024-05-03", "4,reject,,,")
    applied = apply_folder(folder)
    assert applied.cleaned == folder / "cleaned.csv"
    expected = b'zip;x;kind\r\n00510;1,5;ham\r\n\r\n1;NA;"e;gg"\r\n2;x;ham'
    assert applied.cleaned.read_bytes() == expected
    assert (folder.parent / "in" / "t.csv").read_bytes() == DATA
    log = pd.read_csv(applied.log, keep_default_na=False)
    assert log[["row", "action", "from", "to", "why", "by", "when"]].values.tolist() == [
        [1, "set", "NA", "ham", "decision: accept", "Ada", "2024-05-01"],
        [2, "drop", "ham", "", "decision: drop", "Ada", "2024-05-02"],
        [3, "set", "NA", "e;gg", "decision: set", "Bob", "2024-05-03"],
    ]


def test_classes_that_the_file_did_not_have_are_counted(folder):
    decide(folder, "1,set,hm,,", "2,set,NA,,", "3,set,hm,,", "4,set,egg,,")
    applied = apply_folder(folder)
    assert applied.new_classes == {"hm": 2, "egg": 1}
    decide(folder, "1,set, ham ,,", "2,accept,,,", "3,set,''ham,,")
    applied = apply_folder(folder)
    assert applied.changes.to.tolist() == ["ham", "NA", "''ham"]  # blanks around a class of the file do not count
    assert applied.new_classes == {"''ham": 1}
    (folder / "decisions.csv").unlink()
    assert apply_folder(folder, "refurbish").new_classes == {}


@pytest.mark.parametrize(("labels", "new", "classes"), [([2, 3], "2.0", {}), ([2, 3], "4", {"4": 1})])
def test_new_classes_are_told_by_the_type_of_the_labels(tmp_path, labels, new, classes):
    table = pd.DataFrame({"x": [1.5, 2.5], "kind": labels})
    table.to_parquet(tmp_path / "t.parquet")
    changes = pd.DataFrame({"row": [2], "action": ["set"], "to": [new]})
    assert new_classes(open_table(tmp_path / "t.parquet"), "kind", changes) == classes


def test_rows_that_are_decided_twice_and_not_alike_are_named(folder):
    decide(folder, "1,set,ham,,", "2,drop,,,", "1,set,egg,,", "2,drop,,Ada,", "3,reject,,,", "3.0,skip,,,")
    applied = apply_folder(folder)
    assert applied.overruled == [1, 3]
    assert applied.changes.to.tolist() == ["egg", ""]
    (folder / "decisions.csv").unlink()
    assert apply_folder(folder, "drop").overruled == []


@pytest.mark.parametrize("labels", [[2, 3, None], [True, False, None], ["a", "b", None]])
def test_suggestions_have_the_type_of_the_labels(tmp_path, labels):
    table = pd.DataFrame({"x": [1.5, 2.5, 3.5], "kind": labels})
    (tmp_path / "t.json").write_text(json.dumps([{"x": 1.5, "kind": label} for label in labels]))
    table.convert_dtypes().to_parquet(tmp_path / "t.parquet")
    q = np.array([[0.2, 0.8], [0.9, 0.1]])
    issues = label_issues_frame(labels[:2], sorted(labels[:2]), [0.1, 0.2], [0.25] * 2, q, q)
    issues = read_issues(io.BytesIO(csv_bytes(with_identity(issues, table, "kind", np.arange(2)))))
    expected = [sorted(labels[:2])[1], sorted(labels[:2])[0], None]
    for read, name in ((pd.read_parquet, "t.parquet"), (lambda data: pd.DataFrame(json.load(data)), "t.json")):
        flagged = read(io.BytesIO(flagged_bytes(open_table(tmp_path / name), "kind", issues)))
        assert [None if pd.isna(cell) else cell for cell in flagged["suggested_label"]] == expected


def test_undo_goes_back_step_by_step(folder):
    decide(folder, "1,accept,,,")
    first = apply_folder(folder).cleaned.read_bytes()
    log = (folder / "changes.csv").read_bytes()
    decide(folder, "1,reject,,,")
    assert apply_folder(folder).cleaned.read_bytes() == DATA
    undo_folder(folder)
    assert (folder / "cleaned.csv").read_bytes() == first
    assert (folder / "changes.csv").read_bytes() == log
    undo_folder(folder)
    assert not (folder / "cleaned.csv").exists()
    assert not (folder / "changes.csv").exists()
    with pytest.raises(ValueError, match="nothing to undo"):
        undo_folder(folder)


def test_a_policy_for_the_undecided(folder):
    decide(folder, "1,reject,,,")
    assert apply_folder(folder, "refurbish").cleaned.read_bytes() == DATA.replace(b'5";ham', b'5";NA').replace(
        b'"NA"', b'"ham"'
    )
    assert apply_folder(folder, "refurbish", 0.8).changes["row"].tolist() == [2]
    (folder / "decisions.csv").unlink()
    assert len(apply_folder(folder, "drop").changes) == 3
    flagged = apply_folder(folder, "flag").cleaned.read_bytes().split(b"\r\n")
    assert flagged[0] == b"zip;x;kind;is_label_issue;label_quality;suggested_label"
    assert flagged[1] == b"00510;1,5;NA;True;0.1;ham"


def test_flags_are_not_for_rows_that_people_decided(folder):
    decide(folder, "1,reject,,,", "2,skip,,,")
    lines = apply_folder(folder, "flag").cleaned.read_bytes().split(b"\r\n")
    assert [line.split(b";")[-3] for line in (lines[1], lines[2], lines[4], lines[5])] == [
        b"False",
        b"False",
        b"True",
        b"False",
    ]


def test_flags_never_overwrite_the_labels(folder):
    (folder.parent / "in" / "t.csv").write_bytes(DATA.replace(b"kind", b"label_quality"))
    save_origin(folder, replace(load_origin(folder), label="label_quality"))
    with pytest.raises(ValueError, match="would overwrite the labels in 'label_quality'"):
        apply_folder(folder, "flag")
    assert not (folder / "cleaned.csv").exists()
    assert len(apply_folder(folder, "drop").changes) == 3


def test_what_is_refused(folder):
    with pytest.raises(ValueError, match=r"no decisions.csv"):
        apply_folder(folder)
    decide(folder, "1,accept,,,")
    with pytest.raises(ValueError, match="cannot go with decisions"):
        apply_folder(folder, "flag")
    (folder.parent / "in" / "t.csv").write_bytes(DATA.replace(b"007", b"008"))
    with pytest.raises(ValueError, match="row 2 of the data is not the row that was judged"):
        apply_folder(folder)
    (folder.parent / "in" / "t.csv").write_bytes(DATA.replace(b"kind", b"Kind"))
    with pytest.raises(ValueError, match="the file that was judged: no column 'kind'; the columns are zip, x, Kind"):
        apply_folder(folder)
    (folder.parent / "in" / "t.csv").rename(folder / "moved.csv")
    with pytest.raises(ValueError, match="--input"):
        apply_folder(folder)
    (folder / "moved.csv").write_bytes(DATA)
    assert len(apply_folder(folder, table=folder / "moved.csv").changes) == 1
    with pytest.raises(ValueError, match="not the folder of an audit"):
        apply_folder(folder.parent)


def test_edited_issues_are_never_overwritten(folder):
    assert issues_name(folder) == "issues.csv"
    (folder / "issues.csv").write_bytes((folder / "issues.csv").read_bytes() + b"\n")
    assert issues_name(folder) == "issues-2.csv"
    assert issues_name(folder, force=True) == "issues.csv"
    (folder / "issues-2.csv").write_text("mine")
    assert issues_name(folder) == "issues-3.csv"
    (folder / "audit.json").unlink()
    assert issues_name(folder) == "issues-3.csv"
    assert issues_name(folder.parent) == "issues.csv"


def test_records_of_later_versions_are_refused(folder):
    path = folder / "audit.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ValueError, match="has version 2"):
        load_origin(folder)


@pytest.mark.parametrize("text", ["{", "[]", "[1]", '{"version": 1}', ""])
def test_records_that_are_none_are_named(folder, text):
    (folder / "audit.json").write_text(text)
    with pytest.raises(ValueError, match=r"audit\.json .*"):
        load_origin(folder)


def test_issues_are_read_as_they_were(folder):
    assert read_issues(folder / "issues.csv").given_label.tolist() == ["NA", "ham", "NA", "ham"]


def test_undo_takes_back_what_was_written_and_nothing_else(folder):
    """The file that was judged may be packed by now: what is written then ends in .csv.gz."""
    decide(folder, "1,accept,,,")
    (folder / "cleaned.csv").write_bytes(b"of the audit")
    packed = folder.parent / "in" / "t.csv.gz"
    packed.write_bytes(gzip.compress(DATA))
    assert apply_folder(folder, table=packed).cleaned == folder / "cleaned.csv.gz"
    assert undo_folder(folder) == folder / "cleaned.csv.gz"
    assert not (folder / "cleaned.csv.gz").exists()
    assert (folder / "cleaned.csv").read_bytes() == b"of the audit"


def test_an_undo_folder_of_an_earlier_version_has_no_names(folder):
    decide(folder, "1,accept,,,")
    apply_folder(folder)
    (folder / "undo" / "0001" / "names.json").unlink()
    assert undo_folder(folder) == folder / "cleaned.csv"
    assert not (folder / "cleaned.csv").exists()


def test_flags_of_a_table_that_has_the_columns_with_other_types(tmp_path):
    own = {"is_label_issue": [0, 1], "label_quality": ["low", "high"], "suggested_label": [1.5, 2.5]}
    table = pd.DataFrame({"kind": ["a", "b"], **own})
    table.to_parquet(tmp_path / "t.parquet")
    q = np.array([[0.2, 0.8], [0.1, 0.9]])
    issues = label_issues_frame(table.kind, ["a", "b"], [0.1, 0.9], [0.25, 0.9], q, q).assign(row=[1, 2])
    flagged = pd.read_parquet(io.BytesIO(flagged_bytes(open_table(tmp_path / "t.parquet"), "kind", issues)))
    assert flagged.values.tolist() == [["a", True, 0.1, "b"], ["b", False, 0.9, "b"]]


def test_records_of_earlier_versions_name_the_quote(folder):
    record = json.loads((folder / "audit.json").read_text())
    (folder / "audit.json").write_text(json.dumps(record | {"quote": '"'}))
    assert load_origin(folder).label == "kind"
