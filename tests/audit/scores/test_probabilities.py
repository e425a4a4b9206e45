import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from noisyflywheel.audit import audit_probabilities, cross_val_audit
from noisyflywheel.exceptions import FlywheelWarning
from noisyflywheel.noise import symmetric


@pytest.fixture(scope="module")
def judged():
    """Probabilities of held-out rows, given and true labels, and the model."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:500], y[:500]
    given = symmetric(y, 0.2, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return cross_val_predict(model, X, given, cv=folds, method="predict_proba"), given, y, (model, X)


def test_the_same_as_a_cross_validation_with_the_model(judged):
    proba, given, _, (model, X) = judged
    ours, whole = audit_probabilities(proba, given), cross_val_audit(model, X, given)
    pd.testing.assert_frame_equal(ours.issues, whole.issues)
    np.testing.assert_allclose(ours.transition_matrix_, whole.transition_matrix_)


@pytest.mark.filterwarnings("ignore")  # cleanlab's own
def test_beside_cleanlab(judged):
    filters = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed")
    proba, given, true, _ = judged
    ours = audit_probabilities(proba, given).issues
    theirs = filters.find_label_issues(given, proba, n_jobs=1)
    n_wrong, both = (given != true).sum(), (theirs & ours.is_label_issue).sum()
    assert abs(ours.is_label_issue.sum() - n_wrong) <= abs(theirs.sum() - n_wrong) + 0.1 * n_wrong
    assert both > 0.8 * min(theirs.sum(), ours.is_label_issue.sum())


def test_columns_are_known_by_their_names(judged):
    proba, given, _, _ = judged
    names = np.array([f"d{k}" for k in range(10)])
    plain = audit_probabilities(proba, names[given]).issues
    order = np.random.default_rng(0).permutation(10)
    by_name = audit_probabilities(proba[:, order], names[given], classes=names[order]).issues
    pd.testing.assert_frame_equal(plain, by_name)
    y = pd.Series(names[given], index=[f"r{i}" for i in range(500)])
    frame = pd.DataFrame(proba, columns=names, index=y.index)[list(names[order])]
    audit = audit_probabilities(frame, y)
    assert audit.issues.index.equals(y.index)
    np.testing.assert_allclose(audit.issues.label_quality, plain.label_quality)
    assert audit.classes_.tolist() == names.tolist()


def by_names(columns, y):
    """Classes of the audit and the mean probability of the given labels, each being .9 under the column of its text."""
    columns = pd.Index(columns)
    texts = [str(name).strip().title().removesuffix(".0") for name in columns]
    wanted = [texts.index(str(label).title().removesuffix(".0")) for label in y]
    proba = np.full((len(y), len(columns)), 0.1 / (len(columns) - 1))
    proba[np.arange(len(y)), wanted] = 0.9
    found = audit_probabilities(pd.DataFrame(proba, columns=columns), y)
    assert not found.issues.is_label_issue.any()
    return found.classes_.tolist()


@pytest.mark.parametrize(
    ("columns", "labels", "classes"),
    [
        (["10", "3", "4"], [3, 4, 10], [3, 4, 10]),
        ([10, 3, 4], ["10", "3", "4"], ["10", "3", "4"]),
        (["True", "False"], [True, False], [False, True]),
        (["TRUE", "FALSE"], [True, False], [False, True]),
        (["10.0", "3.0", "4.0"], [3.0, 4.0, 10.0], [3, 4, 10]),
        ([" 10", "3", "4 "], [3, 4, 10], [3, 4, 10]),
        (["300", "2", "1"], np.array([1, 2], dtype=np.int8), [1, 2, 300]),
        (["300", "2", "1"], np.array([1, 2], dtype=np.uint64), [1, 2, 300]),
        (["long", "b", "a"], ["a", "b"], ["a", "b", "long"]),
        ([20, 10, 300], ["10", "20"], ["10", "20", "300"]),
        (range(4), ["1", "3"], ["0", "1", "2", "3"]),
    ],
)
def test_names_of_columns_count_as_text(columns, labels, classes):
    assert by_names(columns, np.repeat(labels, 5)) == classes


@pytest.mark.parametrize("days", [pd.to_datetime(["2024-01-02", "2024-01-01"]), pd.to_timedelta([2, 1], unit="D")])
@pytest.mark.parametrize("as_text", [False, True])
def test_dates_and_durations_name_columns(days, as_text):
    frame = pd.DataFrame([[0.1, 0.9]] * 5 + [[0.9, 0.1]] * 5, columns=days.astype(str) if as_text else days)
    y = pd.Series(days[[1] * 5 + [0] * 5])
    assert not audit_probabilities(frame, y).issues.is_label_issue.any()


@pytest.mark.parametrize(
    "columns",
    [range(10), [f"p{k}" for k in range(10)], pd.MultiIndex.from_product([["p"], range(3, 13)])],
)
def test_names_that_are_no_classes_do_not_count(judged, columns):
    proba, given, _, _ = judged
    audit = audit_probabilities(pd.DataFrame(proba, columns=columns), given + 3)
    assert audit.classes_.tolist() == list(range(3, 13))
    np.testing.assert_allclose(audit.clean_proba_, audit_probabilities(proba, given).clean_proba_)


def test_given_classes_count_more_than_names():
    frame = pd.DataFrame(P[[0, 1] * 5], columns=["b", "a"])
    assert not audit_probabilities(frame, ["a", "b"] * 5, classes=["a", "b"]).issues.is_label_issue.any()


@pytest.mark.parametrize(
    ("columns", "labels", "word"),
    [
        (["3", "4", "5"], [3, 4, 10], "no column of pred_proba is named '10'"),
        ([1, 2, 3], [0, 1, 2], "no column of pred_proba is named '0'"),
        (["a", "B"], ["a", "b"], "no column of pred_proba is named 'b'"),
        (["c", "a"], ["a", " a"], "no column of pred_proba is named ' a'"),
        (["3", "4", "other"], [3, 4], "the column 'other' of pred_proba is no class"),
        (["3", "4", "-1"], np.array([3, 4], dtype=np.uint8), "the column '-1' of pred_proba is no class"),
        ([3, 4, "other"], [3, 4], "the column 'other' of pred_proba is no class"),
        ([3, 4, "3"], [3, 4], "3 columns for 3 classes: name each"),
        (["3", "4", "3.0"], [3, 4], "3 columns for 3 classes: name each"),
        (range(11), [str(k) for k in range(11)], "names or places of the classes"),
    ],
)
def test_names_of_which_only_some_are_classes_are_refused(columns, labels, word):
    frame = pd.DataFrame(np.full((len(labels), len(columns)), 1 / len(columns)), columns=columns)
    with pytest.raises(ValueError, match=word):
        audit_probabilities(frame, labels)


def test_codes_of_which_some_are_not_given(judged):
    proba, given, _, _ = judged
    few = given != 4
    audit = audit_probabilities(proba[few].astype(np.float16), given[few])
    assert audit.classes_.tolist() == list(range(10))
    assert audit.get_class_summary().set_index("class_label").n_given[4] == 0


def test_columns_in_another_order_are_noticed(judged):
    proba, given, _, _ = judged
    with pytest.warns(FlywheelWarning, match="order of the classes"):
        audit_probabilities(np.roll(proba, 1, axis=1), given)


P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])


@pytest.mark.parametrize(
    ("proba", "y", "classes", "word"),
    [
        (P[:2], "aba", None, "inconsistent numbers"),
        (P, "aaa", None, "one class only"),
        (P[:, 0], "aba", None, "shape"),
        (P * 1.5, "aba", None, "row 0"),
        (np.where(P == 0.8, np.nan, P), "aba", None, "row 1 does not"),
        (P * 0.9, "aba", None, "row 0 sums to 0.9"),
        (np.log(P), "aba", None, r"in \[0, 1\]"),
        (P, "abc", None, "2 columns for 3 classes"),
        (P, "aba", ["a", "a"], "2 columns for 2 classes: name each"),
        (P, "aba", ["a", "c"], "label 'b'"),
        (P, "aba", [0, 1], "label 'a'"),
    ],
)
def test_what_is_refused(proba, y, classes, word):
    with pytest.raises(ValueError, match=word):
        audit_probabilities(proba, list(y), classes)


@pytest.mark.parametrize("y", [["a", "b", "a"], [0, 1, 0]])
def test_arguments_in_the_order_of_cleanlab_are_named(y):
    with pytest.raises(ValueError, match=r"pred_proba, which comes before y, must have shape \(n, K\); got \(3,\)"):
        audit_probabilities(y, [[0.9, 0.1], [0.1, 0.9], [0.8, 0.2]])


def test_tables_of_other_libraries_are_not_read_by_position():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"b": [0.9, 0.8, 0.1], "a": [0.1, 0.2, 0.9]})
    with pytest.raises(TypeError, match="pyarrow.Table: convert it"):
        audit_probabilities(table, ["b", "b", "a"])
    named = audit_probabilities(table.to_pandas(), ["b", "b", "a"])
    assert named.issues.predicted_label.tolist() == ["b", "b", "a"]
    given = audit_probabilities(table, ["b", "b", "a"], classes=["b", "a"])
    pd.testing.assert_frame_equal(given.issues, named.issues)
