import io
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import (
    TableEncoder,
    apply_corrections,
    audit_table,
    cross_val_audit,
    cross_val_label_issues,
    write_report,
)
from noisyflywheel.audit.checks.preflight import preflight
from noisyflywheel.audit.scores.class_labels import class_labels
from noisyflywheel.audit.scores.judging import judge_rows
from noisyflywheel.data.encoder.missing import with_missing

pytestmark = pytest.mark.usefixtures("quick_folds")


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    code = rng.integers(0, 2, 90)
    return pd.DataFrame(
        {
            "size": [f"{v:.2f}".replace(".", ",") for v in code * 3 + rng.normal(size=90)],
            "color": np.where(code == 1, "red", "blue"),
            "patient": [f"p{i // 3}" for i in range(90)],
            "kind": np.where(rng.random(90) < 0.1, 1 - code, code).astype(str),
        },
        index=range(100, 190),
    )


def test_a_table_in_one_call(table, tmp_path):
    table.loc[[103, 110], "kind"] = ["", "?"]
    audit = audit_table(table, "kind", missing=["?"], estimator=LogisticRegression(), cv=3)
    assert list(audit.issues.columns[:3]) == ["row", "fingerprint", "is_label_issue"]
    assert len(audit.issues) == 88
    assert not {4, 11} & set(audit.issues.row)
    assert (audit.issues.index == audit.issues.row + 99).all()
    assert audit.columns.set_index("column").taken_as["size"] == "number"
    assert audit.findings[0].rows == (4, 11)
    assert list(audit.classes_) == ["0", "1"]
    assert audit.model.predict(table.head(3)).shape == (3,)
    clean = apply_corrections(table, audit.issues, "refurbish", label="kind")
    assert clean.kind[103] == ""
    assert (clean.kind != table.kind).sum() <= audit.issues.is_label_issue.sum()
    report = write_report(tmp_path / "r.html", audit).read_text(encoding="utf-8")
    assert "2 rows have no label" in report
    assert "<dt>estimator</dt><dd>LogisticRegression</dd>" in report
    assert pickle.loads(pickle.dumps(audit)).issues.equals(audit.issues)
    n = audit.issues.is_label_issue.sum()
    assert repr(audit) == f"<TableAudit: {n} of 88 labels suspect>"  # as a notebook shows it
    assert repr(audit.judged) == f"<CrossValAudit: {n} of 88 labels suspect>"


def test_groups_are_held_out_together(table):
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.append(len(y))
            return super().fit(X, y)

    audit = audit_table(table, "kind", groups="patient", estimator=Spy())
    assert len(seen) == 6
    assert audit.columns.column.tolist() == ["size", "color"]

    class Knows(LogisticRegression):
        """Knows a group that it has seen."""

        def fit(self, X, y):
            self.seen_ = set(np.asarray(X)[:, 1])
            return super().fit(X, y)

        def predict_proba(self, X):
            assert not self.seen_ & set(np.asarray(X)[:, 1])
            return super().predict_proba(X)

    groups = np.arange(90) // 3
    X = np.column_stack([np.random.default_rng(0).normal(size=90), groups])
    cross_val_label_issues(Knows(max_iter=1000), X, table.kind.to_numpy(), cv=3, groups=groups)
    with pytest.raises(AssertionError):
        cross_val_label_issues(Knows(max_iter=1000), X, table.kind.to_numpy(), cv=3)
    with pytest.raises(ValueError, match="groups has shape"):
        cross_val_label_issues(LogisticRegression(), X, table.kind.to_numpy(), groups=groups[:5])


def test_fewer_groups_than_folds_are_refused_before_the_training(table):
    class Never(LogisticRegression):
        def fit(self, X, y):
            raise AssertionError

    table["patient"] = np.arange(90) % 3
    for cv, folds in ((None, 5), (4, 4)):
        with pytest.raises(ValueError, match=f"cv asks for {folds} folds, and groups has 3 groups: pass cv=3 or fewer"):
            audit_table(table, "kind", groups="patient", cv=cv, estimator=Never())


def test_warnings_are_kept_and_still_given():
    class Warns(LogisticRegression):
        def fit(self, X, y):
            warnings.warn("look at\n this", UserWarning, stacklevel=2)
            return super().fit(X, y)

        def get_label_issues(self):
            return None

    with pytest.warns(UserWarning, match="look at"):
        _, said = judge_rows(np.arange(4.0)[:, None], pd.Series([0, 1, 0, 1]), Warns())
    assert said == ["look at this"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["01", "1", "01", "1"], ["01", "1", "01", "1"]),
        (["NA", "None", "NA", "None"], ["NA", "None", "NA", "None"]),
        ([1.0, 2.0, 1.0, 2.0], [1, 2, 1, 2]),
        ([True, False, True, False], [True, False, True, False]),
        (["a", 1, "a", 1.0], ["a", "1", "a", "1"]),
        (pd.Categorical(["x", "y", "x", "y"]), ["x", "y", "x", "y"]),
        ([0.5, 1.5, 0.5, 1.5], ["0.5", "1.5", "0.5", "1.5"]),
        (np.array([2, 10, 2, 10], dtype=np.uint8), [2, 10, 2, 10]),
        (np.array([2, 10, 2, 10], dtype=object), [2, 10, 2, 10]),
        (np.array([True, False, True, False], dtype=object), [True, False, True, False]),
        (np.array([True, 1, True, 1], dtype=object), ["True", "1", "True", "1"]),
    ],
)
def test_classes_stay_what_they_are(values, expected):
    found = list(class_labels(pd.Series(values, name="b")))
    assert found == expected
    assert [isinstance(label, str) for label in found] == [isinstance(label, str) for label in expected]


def test_classes_beyond_int64_are_not_merged(table):
    found = class_labels(pd.Series([1e19, 2e19, 2.0**63, 5.0] * 3, name="b"))
    assert found.nunique() == 4
    assert found[0] == "10000000000000000000"
    assert class_labels(pd.Series([2.0**62, -(2.0**62)] * 3, name="b")).dtype == np.int64
    large = table.assign(kind=np.where(table.kind == table.kind.iloc[0], 1e19, 2e19))
    audit = audit_table(large, "kind", estimator=LogisticRegression(), cv=3)
    assert sorted(audit.get_class_summary().n_given) == sorted(table.kind.value_counts())
    mended = apply_corrections(large, audit.issues, "refurbish", label="kind")
    assert set(mended.kind) == {1e19, 2e19}


@pytest.mark.parametrize("form", [list, PredefinedSplit])
def test_folds_number_the_rows_of_the_table(table, form):
    given = table.assign(kind=table.kind.where(np.arange(90) % 10 > 0))
    fold = np.arange(90) % 3
    folds = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    cv = form(fold if form is PredefinedSplit else folds)
    audit = audit_table(given, "kind", estimator=LogisticRegression(), cv=cv)
    there = given.kind.notna().to_numpy()
    X = TableEncoder(leave_out=["kind"]).fit_transform(given[there])
    alone = cross_val_audit(LogisticRegression(), X, given.kind[there].to_numpy(), cv=PredefinedSplit(fold[there]))
    np.testing.assert_allclose(audit.issues.label_quality, alone.issues.label_quality)
    short = form(fold[:80] if form is PredefinedSplit else [(train[:20], test[:20]) for train, test in folds])
    with pytest.raises(ValueError, match="cv must hold out every row once"):
        audit_table(given, "kind", estimator=LogisticRegression(), cv=short)


def test_a_column_of_labels_without_a_name_is_refused(table):
    with pytest.raises(ValueError, match="label=None: the column of the labels needs a name"):
        audit_table(table.rename(columns={"kind": None}), None, estimator=LogisticRegression(), cv=3)
    with pytest.raises(ValueError, match="no column None; the columns are"):
        audit_table(table, None, estimator=LogisticRegression(), cv=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["x"], "at least 2 rows"),
        (["x", "x"], "one class only"),
        (["x", "y", "z"], "no class label"),
        ([i / 7 for i in range(30)] * 3, "measurements"),
    ],
)
def test_labels_that_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        class_labels(pd.Series(values, name="b"))


def test_missing_is_empty_or_marked():
    raw = pd.read_csv(io.StringIO("a,b\nNA,1\n?,2\n,3\n"), dtype=str, keep_default_na=False)
    assert with_missing(raw, ["?"]).a.isna().tolist() == [False, True, True]
    assert with_missing(raw).a.isna().tolist() == [False, False, True]
    assert with_missing(pd.DataFrame({"a": ["x ", "x", "xx"]}), ["x "]).a.isna().tolist() == [True, True, False]
    assert with_missing(pd.DataFrame({"a": [1, 2]})).a.tolist() == [1, 2]
    assert with_missing(pd.DataFrame({"a": ["NA", "N", "A", "?"]}), "NA").a.isna().tolist() == [True] + [False] * 3


def test_labels_of_blanks_alone_are_none(table):
    blank, empty = (table.assign(kind=table.kind.where(table.index % 10 > 0, cell)) for cell in (" \t", ""))
    audits = [audit_table(given, "kind", estimator=LogisticRegression(), cv=3) for given in (blank, empty)]
    assert audits[0].classes_.tolist() == ["0", "1"]
    assert audits[0].findings == audits[1].findings == preflight(blank, "kind")
    assert audits[0].findings[0].text == "9 rows have no label and are not judged."
    pd.testing.assert_frame_equal(audits[0].issues, audits[1].issues)


def test_an_audit_keeps_its_model_when_the_classifier_is_used_again(table):
    classifier = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, n_folds=1, random_state=0)
    first = audit_table(table, "kind", estimator=classifier)
    classes = first.classes_.tolist()
    other = table.assign(kind=table.kind.map(lambda kind: kind + "!"))
    audit_table(other, "kind", estimator=make_pipeline(StandardScaler(), classifier))
    assert first.classes_.tolist() == classes and not hasattr(classifier, "classes_")


def test_a_pipeline_judged_by_cross_validation(table):
    rows = table[["size", "kind"]]
    plain = audit_table(rows, "kind", estimator=LogisticRegression(), cv=3)
    piped = audit_table(rows, "kind", estimator=make_pipeline(LogisticRegression()), cv=3)
    pd.testing.assert_frame_equal(piped.issues, plain.issues)


def test_the_folds_of_a_pipeline_are_quiet(table, capsys):
    flywheel = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, n_folds=1, random_state=0, verbose=1)
    audit_table(table, "kind", estimator=flywheel, cv=2)
    alone = capsys.readouterr()
    audit_table(table, "kind", estimator=make_pipeline(StandardScaler(), flywheel), cv=2)
    piped = capsys.readouterr()
    assert len(piped.err.splitlines()) + len(piped.out.splitlines()) == len((alone.err + alone.out).splitlines())


def test_the_fit_of_a_pipeline_leaves_a_checkpoint(table, tmp_path):
    flywheel = FlywheelClassifier(n_warmup_epochs=1, n_cycles=2, n_folds=1, random_state=0)
    plain = audit_table(table, "kind", estimator=make_pipeline(StandardScaler(), flywheel))
    assert audit_table(table, "kind", estimator=make_pipeline(StandardScaler(), flywheel), checkpoint=tmp_path)
    (kept,) = tmp_path.iterdir()
    again = audit_table(table, "kind", estimator=make_pipeline(StandardScaler(), flywheel), checkpoint=tmp_path)
    assert list(tmp_path.iterdir()) == [kept]
    pd.testing.assert_frame_equal(again.issues, plain.issues)
    assert again.model[-1][-1].checkpoint_dir is None


def test_rows_without_a_group(table):
    table.loc[[101, 120], "patient"] = None
    audit = audit_table(table, "kind", groups="patient", estimator=LogisticRegression())
    assert len(audit.issues) == 90


@pytest.mark.parametrize("cell", [["a"], {"a": 1}, np.array(["a", "b"])])
def test_labels_that_are_no_single_values_are_refused(table, cell):
    lists = pd.Series([cell] * 90, index=table.index, dtype=object)
    with pytest.raises(ValueError, match="'kind' holds lists or objects, not classes"):
        audit_table(table.assign(kind=lists), "kind")


def test_two_columns_of_the_labels_are_refused(table):
    twice = table.set_axis(["size", "kind", "patient", "kind"], axis=1)
    for call in (audit_table, preflight):
        with pytest.raises(ValueError, match="two columns are called 'kind'"):
            call(twice, "kind")
        with pytest.raises(ValueError, match="no column 'q'; the columns are size, color"):
            call(table, "q")


def test_what_is_refused(table):
    with pytest.raises(TypeError, match="LogisticRegression does not judge the labels that it learns: give cv"):
        audit_table(table, "kind", estimator=LogisticRegression())
    with pytest.raises(ValueError, match="groups='kind' is the column of the labels"):
        audit_table(table, "kind", groups="kind")
    with pytest.raises(ValueError, match="no column 'q'"):
        audit_table(table, "q")
    with pytest.raises(ValueError, match="no column 'q'"):
        audit_table(table, "kind", groups="q")
    with pytest.raises(ValueError, match="holds no labels"):
        audit_table(table.assign(kind=""), "kind")
    with pytest.raises(TypeError, match="missing must hold texts, got -1: put NaN in place of numbers"):
        audit_table(table, "kind", missing=["?", -1])
    for call in (audit_table, preflight):
        with pytest.raises(TypeError, match="must be a pandas DataFrame, got numpy.recarray"):
            call(table.to_records(), "kind")
        with pytest.raises(TypeError, match="the name of a column is needed, not a Series: make it a column"):
            call(table.drop(columns="kind"), table["kind"])
        with pytest.raises(TypeError, match="the name of a column is needed, not a ndarray"):
            call(table, "kind", groups=np.arange(len(table)))
        with pytest.raises(ValueError, match="no column 'kind'; the columns are .*, ' kind'$"):
            call(table.rename(columns={"kind": " kind"}), "kind")


def test_columns_called_by_numbers(table, tmp_path):
    numbered = table.set_axis([0, 1, 2, 3], axis=1)
    named = audit_table(table, "kind", features=["color"], groups="patient", estimator=LogisticRegression())
    audit = audit_table(numbered, 3, features=[1], groups=2, estimator=LogisticRegression())
    pd.testing.assert_frame_equal(audit.issues.drop(columns="fingerprint"), named.issues.drop(columns="fingerprint"))
    assert audit.columns.column.tolist() == ["0", "1"]
    assert audit.findings[0] == named.findings[0]
    assert audit.findings[1].text.startswith("30 groups in '2';")
    page = write_report(tmp_path / "r.html", audit, numbered.drop(columns=3)).read_text(encoding="utf-8")
    assert "1 is red: so are" in page or "1 is blue: so are" in page


def test_columns_of_lists_and_arrays(table, tmp_path):
    arrays = pd.Series([np.arange(i % 3) for i in range(90)], index=table.index, dtype=object)
    wide = table.assign(tags=[["a", "b"], ["c", "d"], ["d", "a"]] * 30, embedding=arrays)
    audit = audit_table(wide, "kind", missing=["?"], estimator=LogisticRegression(), cv=3)
    kinds = audit.columns.set_index("column").taken_as
    assert kinds[["tags", "embedding"]].tolist() == ["left out"] * 2
    write_report(tmp_path / "r.html", audit, wide.drop(columns="kind"))
    assert audit_table(wide, "kind", text=["tags"], estimator=LogisticRegression(), cv=3).columns.taken_as[3] == "text"


def test_types_of_pyarrow(table):
    pytest.importorskip("pyarrow")
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(90) * 7 % 91, unit="D")
    took = pd.Series(pd.to_timedelta(np.arange(90) * 7 % 89, unit="min"), index=table.index)
    wide = table.assign(day=day, paid=np.arange(90) % 3 == 0, kind=table.kind == "1", took=took)
    wide.loc[[100, 101], "color"] = ["", "?"]
    arrow = wide.convert_dtypes(dtype_backend="pyarrow")
    gone = with_missing(arrow, ["?"]).isna().sum()
    assert gone[gone > 0].to_dict() == {"color": 2}
    audits = [audit_table(t, "kind", missing=["?"], estimator=LogisticRegression(), cv=3) for t in (wide, arrow)]
    pd.testing.assert_frame_equal(audits[0].columns, audits[1].columns)
    assert audits[1].columns.set_index("column").taken_as[["day", "paid"]].tolist() == ["date", "number"]
    assert (audits[0].issues.is_label_issue == audits[1].issues.is_label_issue).all()
    assert audits[1].columns.set_index("column").taken_as["took"] == "number"


def test_lists_of_pyarrow_are_left_out(table, tmp_path):
    pa = pytest.importorskip("pyarrow")
    cells = {"tags": [["a"], ["b", "c"], None] * 30, "place": [{"x": i} for i in range(90)]}
    held = {name: pd.arrays.ArrowExtensionArray(pa.array(values)) for name, values in cells.items()}
    audit = audit_table(table.assign(**held), "kind", estimator=LogisticRegression(), cv=3)
    columns = audit.columns.set_index("column").loc[["tags", "place"]]
    assert columns.taken_as.tolist() == ["left out"] * 2
    assert columns.remark.tolist() == ["holds lists or objects"] * 2
    write_report(tmp_path / "r.html", audit, table.assign(**held))


@pytest.mark.parametrize("dtype", ["bool[pyarrow]", "Int64"])
def test_nullable_labels_are_judged_and_changed(table, dtype):
    pytest.importorskip("pyarrow")
    rows = table.assign(kind=(table.kind == "1").astype(dtype))
    quick = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, random_state=0, guard=False)
    issues = audit_table(rows, "kind", estimator=quick).issues
    assert issues.given_label.tolist() == rows.kind.tolist()
    fixed = apply_corrections(rows, issues, "refurbish", label="kind").kind
    assert fixed.dtype == rows.kind.dtype
    assert fixed.tolist() == issues.refurbished_label.where(issues.is_label_issue, issues.given_label).tolist()


@pytest.mark.parametrize("missing", [["?"], "?"])
def test_the_model_knows_what_stands_for_a_missing_cell(table, missing):
    table.loc[[103, 110, 111], "color"] = "?"
    table.loc[[104, 112], "size"] = " ? "
    model = audit_table(table, "kind", missing=missing, estimator=LogisticRegression(), cv=3).model
    gone = with_missing(table, "?")
    assert model[0].get_params()["missing"] == missing
    for encoder in (model[0], clone(model[0]).fit(table), pickle.loads(pickle.dumps(model[0]))):
        np.testing.assert_array_equal(encoder.transform(table), encoder.transform(gone))
        assert "color_?" not in encoder.get_feature_names_out()
        assert "color_(missing)" in encoder.get_feature_names_out()
