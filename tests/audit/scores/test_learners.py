import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import cross_val_audit, cross_val_label_issues, relearn
from noisyflywheel.audit.scores.held_out import judge_fold
from noisyflywheel.audit.scores.judging import judge_rows
from noisyflywheel.audit.scores.learners import check_judges, checked_probabilities


@pytest.fixture(scope="module")
def rows():
    X, y = load_digits(n_class=3, return_X_y=True)
    return X[:60], y[:60]


class Changes(LogisticRegression):
    """Predicts what a function makes of its probabilities."""

    def __init__(self, change=None):
        super().__init__(max_iter=500)
        self.change = change

    def predict_proba(self, X):
        return self.change(super().predict_proba(X))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p * 0.5, r"the rows of the predict_proba of Changes must sum to 1; row \d+ sums to 0.5"),
        (lambda p: np.where(np.arange(len(p))[:, None] == 1, 0, p), "must sum to 1; row 1 sums to 0"),
        (lambda p: p * 2, r"the predict_proba of Changes must hold probabilities in \[0, 1\]"),
        (lambda p: p - 0.4, r"must hold probabilities in \[0, 1\]"),
        (lambda p: np.where(p == p.max(), np.nan, p), r"must hold probabilities in \[0, 1\]"),
        (lambda p: p[:, :2], r"Changes must have shape \(20, 3\), rows and classes of a fold; got \(20, 2\)"),
        (lambda p: p[1:], r"shape \(20, 3\).* got \(19, 3\)"),
        (lambda p: p[:, 0], r"shape \(20, 3\).* got \(20,\)"),
        (lambda p: [p, p], r"shape \(20, 3\).* got \(2, 20, 3\)"),
    ],
)
@pytest.mark.parametrize("in_pipeline", [False, True])
def test_what_are_no_probabilities_is_refused(rows, change, message, in_pipeline):
    model = make_pipeline(Changes(change)) if in_pipeline else Changes(change)
    with pytest.raises(ValueError, match=message):
        cross_val_audit(model, *rows, cv=KFold(3))


@pytest.mark.parametrize("change", [np.float32, np.float16, np.ndarray.tolist, pd.DataFrame, lambda p: p * 1.005])
def test_rounded_probabilities_are_taken_as_they_are(rows, change):
    X, given = rows
    train, test = np.arange(30), np.arange(30, 60)
    proba, _ = judge_fold(Changes(change), X, given, np.arange(3), train, test)
    plain = LogisticRegression(max_iter=500).fit(X[train], given[train]).predict_proba(X[test])
    np.testing.assert_array_equal(proba, np.asarray(change(plain), dtype=np.float64))


class Never(LinearSVC):
    """Must not be fitted."""

    def fit(self, X, y, sample_weight=None):
        raise AssertionError


@pytest.mark.parametrize("wrap", [lambda model: model, make_pipeline, OneVsRestClassifier])
@pytest.mark.parametrize("judge", ["cross_val_audit", "relearn", "judge_rows"])
def test_a_classifier_without_probabilities_is_refused_before_it_is_fitted(wrap, judge):
    X, y = np.arange(12.0)[:, None], np.arange(12) % 2
    none = pd.DataFrame({"row": [], "decision": []})
    issues = cross_val_label_issues(KNeighborsClassifier(1), X, y, 2)
    calls = {
        "cross_val_audit": lambda model: cross_val_audit(model, X, y, cv=2),
        "relearn": lambda model: relearn(model, X, y, issues, none, cv=2),
        "judge_rows": lambda model: judge_rows(X, pd.Series(y), model, cv=2),
    }
    with pytest.raises(AttributeError, match=r"has no predict_proba, .*CalibratedClassifierCV.* audit_probabilities"):
        calls[judge](wrap(Never()))


def test_an_ensemble_may_have_probabilities_once_it_is_fitted(rows):
    X, given = rows
    base = [("knn", KNeighborsClassifier())]
    assert len(cross_val_audit(GridSearchCV(StackingClassifier(base), {"cv": [2]}, cv=2), X, given, cv=2).issues) == 60
    with pytest.raises(AttributeError, match="VotingClassifier has no predict_proba"):
        cross_val_audit(VotingClassifier(base), X, given, cv=2)


def test_what_judges_its_own_rows_needs_no_folds():
    own = FlywheelClassifier()
    for model in (own, make_pipeline(StandardScaler(), own)):
        check_judges(model, None)
        check_judges(model, 3)
    check_judges(KNeighborsClassifier(), 3)
    with pytest.raises(TypeError, match="^KNeighborsClassifier does not judge the labels .*: give cv, such as cv=5$"):
        check_judges(make_pipeline(StandardScaler(), KNeighborsClassifier()), None)
    with pytest.raises(AttributeError, match="LinearSVC has no predict_proba"):
        check_judges(LinearSVC(), 3)


@pytest.mark.parametrize(
    ("proba", "message"),
    [
        ([[0.5, 0.5], [1.2, -0.2]], r"^pred_proba must hold probabilities in \[0, 1\]; row 1 does not$"),
        ([[0.5, 0.5], [0.5, np.nan], [2.0, 0.0]], r"pred_proba must hold probabilities in \[0, 1\]; row 1 does not"),
        ([[0.5, 0.5], [1.02, -0.02]], "row 1 does not"),
        ([[0.5, 0.5], [0.5, 0.5], [0.4, 0.4], [0, 0]], r"^the rows of pred_proba must sum to 1; row 2 sums to 0\.8$"),
        ([[0.5, 0.515]], r"row 0 sums to 1\.015"),
    ],
)
def test_numbers_that_are_no_probabilities(proba, message):
    with pytest.raises(ValueError, match=message):
        checked_probabilities(proba)


def test_probabilities_are_named_and_numbered_by_the_caller():
    rows = np.array([7, 9])
    with pytest.raises(ValueError, match=r"^those of f must hold probabilities in \[0, 1\]; row 9 does not$"):
        checked_probabilities([[1, 0], [2, 0]], "those of f", rows)
    with pytest.raises(ValueError, match="^the rows of those of f must sum to 1; row 9 sums to 0$"):
        checked_probabilities([[1, 0], [0, 0]], "those of f", rows)


def test_rounded_probabilities_stay_as_they_are():
    proba = np.array([[1.0078125, 0.0], [0.5, 0.4921875]], dtype=np.float16)  # within a hundredth
    found = checked_probabilities(proba)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, proba)


def two_votes(model):
    return make_pipeline("passthrough", VotingClassifier([("one", model), ("two", GaussianNB())], voting="soft"))


@pytest.mark.parametrize("wrap", [lambda model: model, make_pipeline, CalibratedClassifierCV, two_votes])
def test_a_frozen_estimator_is_refused(rows, wrap):
    X, given = rows
    frozen = FrozenEstimator(KNeighborsClassifier().fit(X, given))
    with pytest.raises(TypeError, match="a FrozenEstimator may have learnt the rows .* audit_probabilities"):
        cross_val_label_issues(wrap(frozen), X, given, cv=3)
    step = FrozenEstimator(StandardScaler().fit(X))
    assert len(cross_val_label_issues(make_pipeline(step, KNeighborsClassifier()), X, given, cv=3)) == 60
