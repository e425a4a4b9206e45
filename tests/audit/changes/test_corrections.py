import io

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn.linear_model import LogisticRegression

from noisyflywheel.audit.changes.corrections import apply_corrections
from noisyflywheel.audit.changes.decisions import known_labels, rows_to_change
from noisyflywheel.audit.rows.identity import OWN_COLUMNS, label_text
from noisyflywheel.audit.rows.matching import read_issues
from noisyflywheel.audit.scores.probabilities import audit_probabilities
from noisyflywheel.audit.scores.relearn import relearn


@pytest.fixture
def table():
    return pd.DataFrame({"x": [1, 2, 3, 4], "kind": ["a", "b", "a", "b"]}, index=["p", "q", "q", "s"])


@pytest.fixture
def issues(table):
    return pd.DataFrame(
        {
            "is_label_issue": [False, True, True, False],
            "label_quality": [0.9, 0.1, 0.2, 0.8],
            "given_label": table.kind,
            "refurbished_label": ["a", "a", "b", "b"],
            "refurbished_confidence": [1.0, 0.95, 0.6, 0.9],
        },
        index=table.index,
    )


def test_drop(table, issues):
    before = table.copy(deep=True)
    clean = apply_corrections(table, issues)
    assert list(clean.x) == [1, 4]
    assert list(clean.index) == ["p", "s"]
    pd.testing.assert_frame_equal(table, before)


def test_refurbish_with_duplicate_index(table, issues):
    before = table.copy(deep=True)
    clean = apply_corrections(table, issues, "refurbish", label="kind")
    assert list(clean.kind) == ["a", "a", "b", "b"]
    pd.testing.assert_frame_equal(table, before)
    sure = apply_corrections(table, issues, "refurbish", label="kind", min_confidence=0.9)
    assert list(sure.kind) == ["a", "a", "a", "b"]


def test_flag(table, issues):
    clean = apply_corrections(table, issues, "flag")
    assert list(clean.columns) == ["x", "kind", *OWN_COLUMNS]
    assert list(clean.is_label_issue) == [False, True, True, False]
    assert list(clean.suggested_label) == ["a", "a", "b", "b"]
    with pytest.raises(ValueError, match="already has the column 'is_label_issue'"):
        apply_corrections(clean, issues, "flag")


def test_a_suspect_without_other_label_is_dropped_only_without_a_threshold(issues):
    same = issues.assign(refurbished_label=issues.given_label)
    assert list(rows_to_change(same)) == [False, True, True, False]
    assert not rows_to_change(same, 0.1).any()


def test_categories_keep_their_type(table, issues):
    data = table.assign(kind=table.kind.astype("category"))
    clean = apply_corrections(data, issues, "refurbish", label="kind")
    assert clean.kind.dtype == data.kind.dtype
    assert list(clean.kind) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("dtype", [np.int8, np.int64, bool])
def test_arrays(issues, dtype):
    X, y = np.arange(8).reshape(4, 2), np.array([0, 1, 0, 1]).astype(dtype)
    table = issues.reset_index(drop=True).assign(given_label=y, refurbished_label=y[[0, 0, 1, 1]])
    kept, labels = apply_corrections((X, y), table)
    np.testing.assert_array_equal(kept, X[[0, 3]])
    np.testing.assert_array_equal(labels, y[[0, 3]])
    same, fixed = apply_corrections((X, y), table, "refurbish")
    assert same is X
    assert fixed.dtype == dtype
    np.testing.assert_array_equal(fixed, y[[0, 0, 1, 1]])
    assert apply_corrections((X, y), table, "flag")[2].sum() == 2
    np.testing.assert_array_equal(y, np.array([0, 1, 0, 1]).astype(dtype))


@pytest.mark.parametrize(
    ("text", "value"), [("false", False), ("FALSE", False), (0, False), ("0", False), ("true", True), (" True", True)]
)
def test_truth_values_are_read_from_text(issues, text, value):
    table = issues.reset_index(drop=True).assign(given_label=not value, refurbished_label=value)
    decisions = pd.DataFrame({"row": [2], "decision": ["set"], "new_label": [text]})
    X, y = np.zeros((4, 1)), np.full(4, not value)
    expected = [not value, value, not value, not value]
    assert apply_corrections((X, y), table, decisions=decisions)[1].tolist() == expected
    data = pd.DataFrame({"x": 0, "kind": pd.Series(y.tolist(), dtype=object)})
    assert apply_corrections(data, table, label="kind", decisions=decisions).kind.tolist() == expected
    with pytest.raises(ValueError, match="'maybe' is not of the type of the others"):
        apply_corrections((X, y), table, decisions=decisions.assign(new_label="maybe"))


def test_a_label_column_may_have_a_number_as_its_name(table, issues):
    data = table.set_axis([0, 4], axis=1)
    clean = apply_corrections(data, issues, "refurbish", label=4)
    assert list(clean[4]) == ["a", "a", "b", "b"]
    assert list(data[4]) == list(table.kind)


def test_a_reordered_table_is_matched_by_its_index(table, issues):
    data, unique = table.set_axis(list("abcd")), issues.set_axis(list("abcd"))
    clean = apply_corrections(data, unique.sort_values("label_quality"))
    assert list(clean.index) == ["a", "d"]


def test_what_is_refused(table, issues):
    with pytest.raises(ValueError, match="policy must be one of"):
        apply_corrections(table, issues, "delete")
    with pytest.raises(ValueError, match="min_confidence"):
        apply_corrections(table, issues, min_confidence=2)
    with pytest.raises(ValueError, match="issues has 3 rows, the data has 4"):
        apply_corrections(table, issues.iloc[:3])
    with pytest.raises(ValueError, match="index of issues"):
        apply_corrections(table, issues.iloc[::-1])
    with pytest.raises(ValueError, match="label column"):
        apply_corrections(table, issues, "refurbish", label="nope")
    with pytest.raises(TypeError, match="must be a pandas DataFrame, got numpy.ndarray"):
        apply_corrections(table.to_numpy(), issues)
    with pytest.raises(TypeError, match="a tuple of 3"):
        apply_corrections((table, table.kind, None), issues)


def test_what_has_issues_in_place_of_its_table_is_refused(table, issues):
    audit = audit_probabilities(np.eye(2)[[0, 1, 0, 1]], table.kind)
    with pytest.raises(TypeError, match="issues must be .* got CrossValAudit: pass what its get_label_issues"):
        apply_corrections(table, audit)
    with pytest.raises(TypeError, match="issues must be a pandas DataFrame, got tuple$"):
        apply_corrections(table, (table, table.kind))
    made = [{"row": 1, "decision": "drop"}]
    with pytest.raises(TypeError, match="decisions must be a pandas DataFrame, got list$"):
        apply_corrections(table, issues, label="kind", decisions=made)
    with pytest.raises(TypeError, match="decisions must be a pandas DataFrame, got list$"):
        relearn(LogisticRegression(), table[["x"]], table.kind, issues, made, cv=2)


def test_a_threshold_needs_confidences(table, issues):
    unsure = issues.assign(refurbished_confidence=np.nan)
    with pytest.raises(ValueError, match="no refurbished_confidence"):
        apply_corrections(table, unsure, "refurbish", label="kind", min_confidence=0.5)
    assert len(apply_corrections(table, unsure)) < len(table)


@pytest.mark.parametrize("label", [2.7, np.float64(0.5), float("inf"), "300"])
def test_a_new_label_that_is_no_such_integer_is_refused(issues, label):
    y = np.array([0, 1, 0, 1], dtype=np.int8)
    table = issues.reset_index(drop=True).assign(given_label=y, refurbished_label=y)
    decisions = pd.DataFrame({"row": [2.0], "decision": ["set"], "new_label": [label]})
    with pytest.raises(ValueError, match="the new label"):
        apply_corrections((np.zeros((4, 1)), y), table, decisions=decisions)
    decisions["new_label"] = [2.0]
    assert apply_corrections((np.zeros((4, 1)), y), table, decisions=decisions)[1].tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize("label", [1e6, "1e6", "70000", 2049, 10**400])
@pytest.mark.parametrize("kind", [np.asarray, pd.Series])
def test_a_new_label_beyond_the_floats_of_the_others_is_refused(issues, label, kind):
    y = kind(np.array([0, 0.5, 0, 1], dtype=np.float16))
    table = issues.reset_index(drop=True).assign(given_label=y, refurbished_label=y)
    decisions = pd.DataFrame({"row": [1], "decision": ["set"], "new_label": [label]}, dtype=object)
    with pytest.raises(ValueError, match="the new label .* is (no float16 as|not of the type of) the others"):
        apply_corrections((np.zeros((4, 1)), y), table, decisions=decisions)
    for new in (0.1, "0.1", 2048, "2048", "inf"):
        found = apply_corrections((np.zeros((4, 1)), y), table, decisions=decisions.assign(new_label=[new]))[1]
        assert found.dtype == np.float16
        assert found[0] == np.float16(new)


@pytest.mark.parametrize("kind", [np.int8, str])
def test_a_whole_number_as_pandas_writes_it_beside_missing_cells(issues, kind):
    y = np.array([0, 1, 0, 1]).astype(kind)
    table = issues.reset_index(drop=True).assign(given_label=y, refurbished_label=y)
    decisions = pd.DataFrame({"row": [1, 2, 3], "decision": ["set", "set", "reject"], "new_label": [1, 7, None]})
    read = read_issues(io.StringIO(decisions.to_csv(index=False)))
    assert read.new_label.tolist() == ["1.0", "7.0", ""]
    assert apply_corrections((np.zeros((4, 1)), y), table, decisions=read)[1].tolist() == [*map(kind, [1, 7, 0, 1])]
    if kind is str:
        for other in ("1.0", "v1"):  # classes that are no whole numbers are what they are
            classes = y.astype(object)
            classes[3] = other
            found = apply_corrections(
                (np.zeros((4, 1)), classes), table.assign(given_label=classes), decisions=read[:1]
            )[1]
            assert found[0] == "1.0"


@pytest.mark.parametrize("classes", [[0.5, 1.0, 0.5, 2.5], ["0.5", "1", "0.5", "2.5"], [0.5, 1, 0.5, "2.5"]])
@pytest.mark.parametrize("written", ["1.0", " 1.0 ", "1", 1.0])
def test_a_whole_number_beside_fractions_is_the_class_of_its_number(issues, classes, written):
    y = pd.Series(classes)
    texts = pd.Series(["0.5", "1", "0.5", "2.5"])
    table = issues.reset_index(drop=True).assign(given_label=texts, refurbished_label=texts)
    decisions = pd.DataFrame({"row": [1], "decision": ["set"], "new_label": [written]})
    assert known_labels(table.assign(row=range(1, 5)), decisions).label.map(label_text).tolist() == ["1"]
    found = apply_corrections((np.zeros((4, 1)), y), table, decisions=decisions)[1]
    assert found.tolist() == [classes[1], *classes[1:]]


def test_suspects_may_be_text(table, issues):
    for flags in (["FALSCH", "wahr", "True ", ""], ["0", "1", "vrai", np.nan], ["no", "True", "True", ""]):
        text = issues.assign(is_label_issue=pd.Series(flags, dtype=object, index=issues.index))
        if "no" in flags:
            with pytest.raises(ValueError, match="row 1: is_label_issue must be True or False, not 'no'"):
                apply_corrections(table, text)
        else:
            assert list(apply_corrections(table, text).x) == [1, 4]


def test_rows_and_labels_of_different_index_are_refused(table, issues):
    X, y = table[["x"]].set_axis(list("abcd")), table.kind.set_axis(list("abcd"))
    same = issues.set_axis(list("abcd"))
    assert apply_corrections((X, y), same)[0].x.tolist() == [1, 4]
    for other in (X[::-1], X.set_axis(list("wxyz"))):
        with pytest.raises(ValueError, match="rows are paired by position|X and y have different indices"):
            apply_corrections((other, y), same)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        apply_corrections((X[:3], y), same)


@pytest.mark.parametrize("kind", ["coo", "csr", "csc", "dia", "bsr", "lil", "dok"])
def test_rows_of_sparse_features_are_dropped(issues, kind):
    X, table = np.arange(8.0).reshape(4, 2), issues.reset_index(drop=True)
    for make in (csr_matrix, csr_array):
        kept, labels = apply_corrections((make(X).asformat(kind), table.given_label), table)
        np.testing.assert_array_equal(kept.toarray(), X[[0, 3]])
        assert labels.tolist() == ["a", "b"]


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
@pytest.mark.parametrize("kind", [pd.to_timedelta, pd.to_datetime])
def test_times_are_labels(issues, kind, unit):
    times = kind([3600, 7200, 3600, 7200], unit="s").as_unit(unit)
    suggested, later = times[[0, 0, 1, 1]], kind([10800], unit="s")
    for write in (str, lambda time: time):  # as `audit_table` has them, and as `get_label_issues` does
        table = issues.reset_index(drop=True)
        table["given_label"], table["refurbished_label"] = ([write(t) for t in part] for part in (times, suggested))
        data = pd.DataFrame({"x": 0, "kind": times})
        fixed = apply_corrections(data, table, "refurbish", label="kind").kind
        assert fixed.dtype == data.kind.dtype and fixed.tolist() == list(suggested)
        for y in (data.kind, times.to_numpy()):
            labels = apply_corrections((np.zeros((4, 1)), y), table, "refurbish")[1]
            assert labels.dtype == y.dtype and list(pd.Index(labels)) == list(suggested)
        decisions = pd.DataFrame({"row": [4], "decision": ["set"], "new_label": [str(later[0])]})
        assert apply_corrections(data, table, label="kind", decisions=decisions).kind[3] == later[0]


def test_labels_of_one_column_come_back_as_one(table, issues):
    X, column = table[["x"]], table[["kind"]]
    kept, labels = apply_corrections((X, column), issues)
    assert kept.x.tolist() == [1, 4]
    pd.testing.assert_frame_equal(labels, column.iloc[[0, 3]])
    fixed = apply_corrections((X, column), issues, "refurbish")[1]
    pd.testing.assert_frame_equal(fixed, column.assign(kind=["a", "a", "b", "b"]))
    assert column.kind.tolist() == ["a", "b", "a", "b"]
    _, same, mask = apply_corrections((X, column), issues, "flag")
    pd.testing.assert_frame_equal(same, column)
    assert mask.tolist() == [False, True, True, False]
    plain = issues.reset_index(drop=True)
    for y in (column.to_numpy(dtype=str), column.to_numpy(dtype=object)):
        fixed = apply_corrections((X.to_numpy(), y), plain, "refurbish")[1]
        np.testing.assert_array_equal(fixed, [["a"], ["a"], ["b"], ["b"]])
        assert apply_corrections((X.to_numpy(), y), plain)[1].tolist() == [["a"], ["b"]]
    codes = plain.assign(given_label=[0.0, 1, 0, 1], refurbished_label=["0.0", "0.0", "1.0", "1.0"])
    fixed = apply_corrections((X.to_numpy(), np.array([[0.0], [1], [0], [1]])), codes, "refurbish")[1]
    assert fixed.dtype == np.float64 and fixed.tolist() == [[0], [0], [1], [1]]
    with pytest.raises(ValueError, match=r"y must be one column of labels; got shape \(4, 2\)"):
        apply_corrections((X, table), issues)
    with pytest.raises(ValueError, match="different indices"):
        apply_corrections((X, column.set_axis(list("wxyz"))), issues)
