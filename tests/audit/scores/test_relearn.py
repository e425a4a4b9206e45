from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit
from sklearn.neighbors import KNeighborsClassifier

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import apply_corrections, audit_table, cross_val_audit, relearn
from noisyflywheel.audit.changes.decisions import known_labels
from noisyflywheel.audit.rows.matching import with_identity
from noisyflywheel.estimator.fitted.issues import label_issues_frame
from noisyflywheel.noise import symmetric

pytestmark = pytest.mark.usefixtures("quick_folds")

GIVEN = np.array(["a", "a", "b", "b", "a", "b"])
Q = np.array([[0.1, 0.9], [0.8, 0.2], [0.9, 0.1], [0.3, 0.7], [0.6, 0.4], [0.4, 0.6]])
CLEAN = np.array([0.1, 0.8, 0.1, 0.7, 0.6, 0.6])
DECISIONS = pd.DataFrame(
    {
        "row": [1, 3, 4, 5, 6],
        "decision": ["accept", "reject", "set", "drop", "skip"],
        "new_label": ["", "", "c", "", ""],
    }
)


def issues():
    return label_issues_frame(GIVEN, ["a", "b"], CLEAN, CLEAN, Q, Q)


class Recorder(ClassifierMixin, BaseEstimator):
    """Keeps what it was fitted on, and judges each label as half right."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = (np.asarray(X)[:, 0].tolist(), list(y), list(sample_weight))
        self.classes_ = np.unique(y)
        k = len(self.classes_)
        self.refurbished_proba_ = np.full((len(y), k), 1 / k)
        self.transition_matrix_ = np.full((k, k), 1 / k)
        self.clean_proba_ = np.full(len(y), 0.5)
        self.given_ = np.asarray(y)
        return self

    def get_label_issues(self):
        quality = np.linspace(0.1, 0.2, len(self.given_))
        proba = self.refurbished_proba_
        return label_issues_frame(self.given_, self.classes_, quality, self.clean_proba_, proba, proba)


def test_known_labels_by_hand():
    known = known_labels(issues().assign(row=np.arange(6) + 1), DECISIONS)
    assert known.values.tolist() == [[0, "b", False], [2, "b", False], [3, "c", False], [4, "a", True]]


def test_decisions_are_known_and_the_others_are_judged():
    model = Recorder()
    audit = relearn(model, np.arange(6.0)[:, None], GIVEN, issues(), DECISIONS, weight=3)
    assert model.seen_ == ([0, 1, 2, 3, 5], ["b", "a", "b", "c", "b"], [3, 1, 3, 3, 1])
    assert audit.decided_.tolist() == [True, False, True, True, True, False]
    assert audit.clean_proba_.tolist() == [1, 0.5, 1, 1, 1, 0.5]
    assert audit.classes_.tolist() == ["a", "b", "c"]
    assert audit.refurbished_proba_[[0, 3, 4]].tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    table = audit.issues
    assert table.given_label.tolist() == GIVEN.tolist()
    assert table.refurbished_label[audit.decided_].tolist() == ["b", "b", "c", "a"]
    assert (table.label_quality[audit.decided_] == 1).all()
    assert table.decided.tolist() == audit.decided_.tolist()
    assert table.index[table.is_label_issue].tolist() == [1]  # of two at .5 each, the worse one
    assert repr(audit) == "<RelearntAudit: 1 of 6 labels suspect>"


def test_the_next_round_and_the_cleaned_data_take_all_decisions():
    X = np.arange(6.0)[:, None]
    audit = relearn(Recorder(), X, GIVEN, issues(), DECISIONS)
    more = pd.concat([DECISIONS, pd.DataFrame({"row": [2], "decision": ["set"], "new_label": ["b"]})])
    again = relearn(Recorder(), X, GIVEN, audit.issues, more)
    assert again.decided_.tolist() == [True] * 5 + [False]
    _, labels = apply_corrections((X, GIVEN), again.issues, decisions=more)
    assert list(labels) == ["b", "b", "b", "c", "b"]


def test_names_and_numbers_of_rows_are_kept():
    y = pd.Series(GIVEN, index=list("uvwxyz"))
    table = issues().assign(row=np.arange(6) + 1, fingerprint=list("ABCDEF")).iloc[::-1]
    audit = relearn(Recorder(), np.arange(6.0)[:, None], y, table, DECISIONS.assign(fingerprint=list("ACDEF")))
    assert audit.issues.index.tolist() == list("uvwxyz")
    assert audit.issues.row.tolist() == [1, 2, 3, 4, 5, 6]
    assert audit.issues.fingerprint.tolist() == list("ABCDEF")
    assert audit.decided_.tolist() == [True, False, True, True, True, False]


def test_the_index_of_X_is_kept_and_y_may_be_a_list():
    X = pd.DataFrame({"x": np.arange(6.0)}, index=list("uvwxyz"))
    audit = relearn(Recorder(), X, GIVEN.tolist(), issues().set_axis(X.index), DECISIONS)
    assert audit.issues.index.tolist() == list("uvwxyz")
    assert audit.issues.given_label.tolist() == GIVEN.tolist()


def test_labels_of_one_column_are_its_labels():
    y = pd.Series(GIVEN, index=list("uvwxyz"), name="kind")
    X = np.arange(6.0)[:, None]
    raveled = relearn(Recorder(), X, y, issues().set_axis(y.index), DECISIONS)
    frame = relearn(Recorder(), X, y.to_frame(), issues().set_axis(y.index), DECISIONS)
    pd.testing.assert_frame_equal(frame.issues, raveled.issues)
    array = relearn(Recorder(), X, GIVEN[:, None], issues(), DECISIONS)
    pd.testing.assert_frame_equal(array.issues, raveled.issues.reset_index(drop=True))
    table = pd.DataFrame({"x": np.arange(6.0), "kind": GIVEN})
    judged = with_identity(issues(), table, "kind", np.arange(6))
    whole = relearn(Recorder(), table, table[["kind"]], judged, DECISIONS)
    pd.testing.assert_frame_equal(whole.issues, relearn(Recorder(), table, table.kind, judged, DECISIONS).issues)
    with pytest.raises(ValueError, match="one column of labels"):
        relearn(Recorder(), X, table, issues(), DECISIONS)


@pytest.mark.parametrize("names", [[2**60 + 1, 2**60 + 2], [False, True]])
def test_labels_keep_their_type_where_a_row_is_dropped(names):
    given = np.array(names)[[0, 0, 1, 1, 0, 1]]
    first = label_issues_frame(given, names, CLEAN, CLEAN, Q, Q)
    audit = relearn(Recorder(), np.arange(6.0)[:, None], given, first, pd.DataFrame({"row": [5], "decision": ["drop"]}))
    for name in ("given_label", "predicted_label", "refurbished_label"):
        assert audit.issues[name].dtype == given.dtype
        assert set(audit.issues[name]) <= set(names)
    assert audit.issues.predicted_confidence.isna().tolist() == [False] * 4 + [True, False]


def test_a_frame_without_the_labels_and_issues_of_its_table():
    table = pd.DataFrame({"x": np.arange(6.0), "kind": GIVEN})
    first = with_identity(issues(), table, "kind", np.arange(6))
    audit = relearn(Recorder(), table[["x"]], table["kind"], first, DECISIONS)
    assert audit.issues.fingerprint.tolist() == first.fingerprint.tolist()
    _, labels = apply_corrections((table[["x"]], table["kind"]), audit.issues, decisions=DECISIONS)
    assert list(labels) == ["b", "a", "b", "c", "b"]
    with pytest.raises(ValueError, match="row 1 of the data is not the row that was judged"):
        relearn(Recorder(), table[["x"]] + 1, table["kind"], first, DECISIONS)


def test_a_frame_with_the_labels_and_issues_of_its_table():
    table = pd.DataFrame({"x": range(6), "kind": GIVEN})
    judged = with_identity(issues(), table, "kind", np.arange(6))
    whole = relearn(Recorder(), table, table["kind"], judged, DECISIONS)
    without = relearn(Recorder(), table[["x"]], table["kind"], judged, DECISIONS)
    pd.testing.assert_frame_equal(whole.issues, without.issues)
    assert len(apply_corrections((table, table["kind"]), judged, decisions=DECISIONS)[0]) == 5
    with pytest.raises(ValueError, match="row 1 of the data is not the row that was judged"):
        relearn(Recorder(), table.assign(x=9), table["kind"], judged, DECISIONS)


def test_refusals():
    X = np.arange(6.0)[:, None]
    with pytest.raises(ValueError, match="issues has 5 rows, the data has 6"):
        relearn(Recorder(), X, GIVEN, issues().assign(row=np.arange(6) + 1)[:5], DECISIONS[:1])
    with pytest.raises(ValueError, match="above 0"):
        relearn(Recorder(), X, GIVEN, issues(), DECISIONS, weight=0)
    with pytest.raises(TypeError, match="LogisticRegression does not judge the labels that it learns: give cv"):
        relearn(LogisticRegression(), X, GIVEN, issues(), DECISIONS)
    with pytest.raises(ValueError, match="different indices"):
        relearn(Recorder(), pd.DataFrame(X), pd.Series(GIVEN, index=range(1, 7)), issues(), DECISIONS)
    with pytest.raises(ValueError, match="row 7"):
        relearn(Recorder(), X, GIVEN, issues(), pd.DataFrame({"row": [7], "decision": ["reject"]}))
    with pytest.raises(ValueError, match="label 'b', now 'a'"):
        wrong = pd.DataFrame({"row": [1], "decision": ["reject"], "given_label": ["b"]})
        relearn(Recorder(), X, GIVEN, issues(), wrong)


@pytest.mark.parametrize("estimator", [LogisticRegression(C=0.001, max_iter=1000), KNeighborsClassifier(3)])
def test_any_classifier_by_cross_validation(estimator, digits):
    X, given, y = (part[:150] for part in digits)
    first = cross_val_audit(estimator, X, given, cv=3)
    worst = np.argsort(first.issues.label_quality.to_numpy())[:20]
    decisions = pd.DataFrame({"row": worst + 1, "decision": "set", "new_label": y[worst]})
    audit = relearn(estimator, X, given, first.issues, decisions, cv=3)
    assert (audit.refurbished_labels_[worst] == y[worst]).all()
    assert not audit.issues.is_label_issue[worst].any()
    assert audit.issues.is_label_issue.any()


def test_a_flywheel_learns_from_decisions():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-2, 1, (60, 4)), rng.normal(2, 1, (60, 4))]).astype(np.float32)
    y = np.repeat([0, 1], 60)
    given = np.asarray(symmetric(y, 0.4, random_state=0))
    model = FlywheelClassifier(n_cycles=4, random_state=0, device="cpu").fit(X, given)
    worst = np.argsort(model.label_quality_)[:15]
    decisions = pd.DataFrame({"row": worst + 1, "decision": "set", "new_label": y[worst]})
    audit = relearn(model, X, given, model.get_label_issues(), decisions)
    assert (audit.clean_proba_[worst] == 1).all()
    assert (audit.refurbished_labels_[worst] == y[worst]).all()
    left = audit.issues.is_label_issue.to_numpy()
    assert not left[worst].any()
    assert audit.model is model
    assert audit.get_class_summary().n_suspected.sum() == left.sum()


@pytest.mark.parametrize("decision", ["reject", "drop"])
def test_groups_that_do_not_match_are_refused_whatever_was_decided(decision):
    X, decisions = pd.DataFrame({"x": np.arange(6.0)}), pd.DataFrame({"row": [1], "decision": [decision]})
    for groups, words in (
        (np.arange(8), "groups has shape"),
        (pd.Series(range(6), range(6)[::-1]), "in another order"),
    ):
        with pytest.raises(ValueError, match=words):
            relearn(LogisticRegression(), X, GIVEN, issues(), decisions, cv=2, groups=groups)


def drop_row(row):
    return pd.DataFrame({"row": [row], "decision": ["drop"]})


@pytest.mark.parametrize("as_list", [False, True])
def test_rows_without_a_label_are_left_out(as_list):
    y = pd.Series([*GIVEN[:2], None, *GIVEN[2:], " "], index=list("uvmwxyzn"), name="kind")
    table = pd.DataFrame({"x": [0.0, 1, 9, 2, 3, 4, 5, 9], "kind": y}, index=y.index)
    at = np.array([0, 1, 3, 4, 5, 6])
    judged = with_identity(issues(), table, "kind", at).set_axis(y.index[at])
    decisions = DECISIONS.assign(row=at[DECISIONS.row - 1] + 1)
    model, names = Recorder(), ["label_quality", "refurbished_label", "decided"]
    audit = relearn(model, table[["x"]], y.tolist() if as_list else y, judged, decisions, weight=3)
    assert model.seen_ == ([0, 1, 2, 3, 5], ["b", "a", "b", "c", "b"], [3, 1, 3, 3, 1])
    assert audit.issues.row.tolist() == (at + 1).tolist()
    assert audit.issues.index.equals(judged.index)
    assert audit.issues.fingerprint.tolist() == judged.fingerprint.tolist()
    whole = relearn(Recorder(), table[["x"]].iloc[at], y.iloc[at], issues().set_axis(judged.index), DECISIONS)
    pd.testing.assert_frame_equal(audit.issues[names], whole.issues[names])
    again = relearn(Recorder(), table[["x"]], y, audit.issues, decisions)
    pd.testing.assert_frame_equal(again.issues, audit.issues)
    assert len(apply_corrections(table, audit.issues, label="kind", decisions=decisions)) == 7
    with pytest.raises(ValueError, match="a decision speaks of row 3, which was not judged"):
        relearn(Recorder(), table[["x"]], y, judged, drop_row(3))
    with pytest.raises(ValueError, match=r"issues has 6 rows, the data has 8: row 8 .* the label '\?'. Make it None"):
        relearn(Recorder(), table[["x"]], [*y[:-1], "?"], judged, decisions)
    with pytest.raises(ValueError, match="pass the whole table, with the rows that have no label"):
        relearn(Recorder(), table[["x"]].iloc[at], y.iloc[at], judged, decisions)


def test_groups_and_folds_number_all_rows(digits):
    X, given = digits[0][:90], digits[1][:90].astype(float) % 3
    table = pd.DataFrame(X).assign(kind=given)
    table.loc[[4, 50], "kind"] = np.nan
    there, groups = table.kind.notna(), np.arange(90) % 9
    judged = audit_table(table, "kind", estimator=LogisticRegression(max_iter=1000), cv=3).issues
    folds = PredefinedSplit(groups % 3)
    arguments = {"cv": folds, "groups": groups, "random_state": 1}
    model = LogisticRegression(max_iter=1000)
    audit = relearn(model, X, table.kind.to_numpy(), judged.drop(columns="fingerprint"), drop_row(1), **arguments)
    assert len(audit.issues) == 88
    kept = there.to_numpy() & (table.index > 0)
    alone = cross_val_audit(model, X[kept], given[kept], cv=PredefinedSplit(groups[kept] % 3))
    np.testing.assert_allclose(audit.issues.label_quality[1:], alone.issues.label_quality)


@pytest.mark.parametrize("form", [list, iter, PredefinedSplit])
def test_folds_of_all_rows_where_one_is_dropped(form, digits):
    X, given = digits[0][:60], digits[1][:60] % 3
    model, fold = LogisticRegression(max_iter=1000), np.arange(60) % 3
    fold[0] = 3  # alone in its fold, which becomes empty
    folds = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(4)]
    cv = form(fold if form is PredefinedSplit else folds)
    first = cross_val_audit(model, X, given, cv=folds)
    audit = relearn(model, X, given, first.issues, drop_row(1), cv=cv)
    alone = cross_val_audit(model, X[1:], given[1:], cv=PredefinedSplit(fold[1:]))
    np.testing.assert_allclose(audit.issues.label_quality[1:], alone.issues.label_quality)
    short = [(train, np.append(test, 60)) for train, test in folds]
    with pytest.raises(ValueError, match="cv must number the rows of X: it names row 60 of 60"):
        relearn(model, X, given, first.issues, drop_row(1), cv=short)


@pytest.mark.parametrize(
    ("classes", "learnt"),
    [
        ([0.5, 1.0, 2.5], ["0.5", "1", "2.5"]),
        ([1, "1x", 2], ["1", "1x", "2"]),
        ([Decimal("0.5"), Decimal(1), Decimal(2)], ["0.5", "1", "2"]),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        (pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]), None),
    ],
)
@pytest.mark.parametrize("as_list", [False, True])
def test_labels_are_learnt_as_audit_table_took_them(classes, learnt, as_list, digits):
    X, code = digits[0][:60], digits[2][:60] % 3
    table = pd.DataFrame(X).assign(kind=pd.Series(classes)[code].to_numpy())
    y = table.kind.tolist() if as_list and learnt is not None else table.kind
    model = LogisticRegression(max_iter=1000)
    first = audit_table(table, "kind", estimator=model, cv=3)
    decisions = pd.DataFrame({"row": [1], "decision": ["set"], "new_label": [str(classes[1])]})
    audit = relearn(model, X, y, first.issues, decisions, cv=3)
    assert audit.classes_.tolist() == (learnt or list(np.array(classes, dtype="M8").tolist()))
    assert audit.issues.refurbished_label[0] == audit.classes_[1]
    mended = apply_corrections(table, audit.issues, label="kind", decisions=decisions)
    assert mended.kind[0] == classes[1]
    assert type(mended.kind[0]) is type(table.kind[code == 1].iloc[0])
    assert set(mended.kind) == set(classes)
