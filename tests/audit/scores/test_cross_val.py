import gc
import multiprocessing

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch import NeuralNetClassifier
from skorch.helper import SliceDataset
from torch import nn
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit.scores.cross_val import audit_of, cross_val_audit, cross_val_label_issues
from noisyflywheel.audit.scores.held_out import aligned, judge_fold
from noisyflywheel.audit.scores.judging import n_folds
from noisyflywheel.audit.scores.relearn import relearn
from noisyflywheel.backbones import MLP
from noisyflywheel.estimator.fitted.issues import ISSUE_COLUMNS
from noisyflywheel.exceptions import FlywheelWarning

pytestmark = pytest.mark.usefixtures("quick_folds")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    given = y.copy()
    rows = rng.permutation(y.size)[: y.size // 2]
    given[rows] = rng.integers(0, 10, rows.size)
    return X, given, y


def test_ranks_errors_and_counts_them(digits):
    X, given, y = digits
    issues = cross_val_label_issues(make_pipeline(StandardScaler(), KNeighborsClassifier(15)), X, given)
    assert tuple(issues.columns) == ISSUE_COLUMNS
    assert roc_auc_score(given == y, issues.label_quality) > 0.98
    assert issues.is_label_issue.sum() == pytest.approx((given != y).sum(), rel=0.1)


def test_strings_and_index_are_kept(digits):
    X, given, _ = digits
    names = pd.Series([f"d{c}" for c in given], index=[f"r{i}" for i in range(given.size)])
    audit = cross_val_audit(KNeighborsClassifier(), X, names, cv=3)
    issues = audit.get_label_issues()
    assert issues.index.equals(names.index)
    assert list(issues.given_label) == list(names)
    assert set(issues.predicted_label) <= set(names)
    assert audit.clean_rate_ == pytest.approx(audit.clean_proba_.mean())
    assert len(audit.get_class_summary()) == 10
    np.testing.assert_array_equal(audit.refurbished_labels_, issues.refurbished_label)


@pytest.mark.parametrize("form", ["csr", "coo", "bsr"])
def test_every_sparse_matrix_is_taken(digits, form):
    X, given = digits[0][:60], digits[1][:60] % 3
    dense = cross_val_audit(KNeighborsClassifier(), X, given, cv=2)
    rows = csr_matrix(X).asformat(form)
    pd.testing.assert_frame_equal(cross_val_audit(KNeighborsClassifier(), rows, given, cv=2).issues, dense.issues)
    gone = pd.DataFrame({"row": [1], "decision": ["drop"]})
    again = [relearn(KNeighborsClassifier(), x, given, dense.issues, gone, cv=2).issues for x in (X, rows)]
    pd.testing.assert_frame_equal(*again)


def test_a_class_of_one_row_is_judged_by_models_that_do_not_know_it(digits):
    X, given, _ = digits
    labels = given.copy()
    labels[0] = 99
    audit = cross_val_audit(KNeighborsClassifier(), X, labels, cv=KFold(3))
    assert audit.clean_proba_.shape == labels.shape
    np.testing.assert_allclose(audit.refurbished_proba_.sum(axis=1), 1)


def test_a_class_with_fewer_rows_than_folds_is_named(digits):
    X, given = digits[0][:60], np.where(np.arange(60) == 7, "rare", (digits[1][:60] % 2).astype(str))
    with pytest.warns(FlywheelWarning, match="'rare' has 1 row, fewer than the 3 folds") as said:
        cross_val_audit(KNeighborsClassifier(), X, given, cv=3)
    assert len(said) == 1  # not beside scikit-learn's, which speaks of n_splits


def test_copies_are_held_out_together(digits):
    X, given, y = (part[:300] for part in digits)
    wrong = given != y
    twice, labels, errors = np.concatenate([X, X[:150]]), np.r_[given, given[:150]], np.r_[wrong, wrong[:150]]
    for rows in (twice, pd.DataFrame(twice), csr_matrix(twice), twice.tolist()):
        issues = cross_val_label_issues(KNeighborsClassifier(3), rows, labels, cv=3)
        assert issues.is_label_issue[errors].mean() > 0.9
        np.testing.assert_array_equal(issues.label_quality[300:], issues.label_quality[:150])
    parts = StratifiedKFold(3, shuffle=True, random_state=0)
    apart = cross_val_label_issues(KNeighborsClassifier(3), twice, labels, cv=parts)
    assert apart.is_label_issue[errors].mean() < 0.6  # each vouches for the other


def test_copies_never_are_in_the_way_of_folds():
    X, y = np.repeat(np.random.default_rng(0).normal(size=(24, 2)), 2, axis=0), np.repeat(np.arange(24) % 2, 2)
    for n in (2, 12, 20):  # of 12 different rows a class
        assert len(cross_val_audit(KNeighborsClassifier(1), X, y, cv=n).issues) == 48
    blank = np.concatenate([X, np.zeros((20, 2))])
    issues = cross_val_audit(KNeighborsClassifier(1), blank, np.r_[y, np.full(20, 2)], cv=5).issues
    assert not issues.is_label_issue[48:].any()


def test_a_fold_that_leaves_one_class_is_named(digits):
    X, y = digits[0][:60] / 16, np.where(np.arange(60) // 6 == 2, "rare", "frequent")
    with pytest.raises(ValueError, match="every row that is not 'frequent' is held out by one fold"):
        cross_val_audit(LogisticRegression(), X, y, cv=KFold(5))
    judged = cross_val_audit(KNeighborsClassifier(), X, y, cv=KFold(5))  # to which one class is enough
    assert judged.clean_proba_.shape == (60,)


@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(StandardScaler(), LogisticRegression(C=0.01)),
        CalibratedClassifierCV(LogisticRegression(C=0.01, max_iter=500), cv=2),
        make_pipeline(StandardScaler(), CalibratedClassifierCV(LogisticRegression(C=0.01), cv=2)),
        AdaBoostClassifier(LogisticRegression(C=0.01, max_iter=500), n_estimators=2, random_state=0),
    ],
)
def test_models_of_models_get_weights_where_metadata_is_routed_too(digits, model):
    X, given = digits[0][:60], digits[1][:60] % 3
    weights = np.arange(60) % 3 + 1.0
    with config_context(enable_metadata_routing=False):
        plain = cross_val_audit(model, X, given, cv=2, sample_weight=weights).issues
    with config_context(enable_metadata_routing=True):
        pd.testing.assert_frame_equal(cross_val_audit(model, X, given, cv=2, sample_weight=weights).issues, plain)
        made = pd.DataFrame({"row": [1], "decision": ["reject"]})
        assert relearn(model, X, given, plain, made, cv=2).decided_.sum() == 1


def test_models_that_ask_for_weights_get_them_by_routing(digits):
    X, given = digits[0][:60], digits[1][:60] % 3
    with config_context(enable_metadata_routing=True):
        asks = OneVsRestClassifier(LogisticRegression(max_iter=500).set_fit_request(sample_weight=True))
        first = cross_val_audit(asks, X, given, cv=2, sample_weight=np.ones(60)).issues
        other = cross_val_audit(asks, X, given, cv=2, sample_weight=np.arange(60) % 3 + 1.0).issues
    assert not first.equals(other)


def test_aligned_by_hand():
    got = aligned(np.array([[0.3, 0.7]]), np.array(["a", "c"]), np.array(["a", "b", "c"]))
    np.testing.assert_allclose(got, [[0.3, 0.0, 0.7]])


class Knows(ClassifierMixin, BaseEstimator):
    """Predicts .8 / .2 by the sign of X and knows its T."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.transition_matrix_ = np.array([[0.9, 0.1], [0.2, 0.8]])
        return self

    def predict_proba(self, X):
        return np.where(X[:, :1] < 0, [[0.8, 0.2]], [[0.2, 0.8]])


def test_a_model_that_knows_its_transition_matrix_is_believed():
    X = np.repeat([[-1.0], [1.0]], 10, axis=0)
    y = np.repeat(["a", "b"], 10)
    y[0] = "b"
    audit = cross_val_audit(make_pipeline(Knows()), X, y, cv=2)
    np.testing.assert_allclose(audit.transition_matrix_, [[0.9, 0.1], [0.2, 0.8]])
    assert list(audit.issues.index[audit.issues.label_quality == audit.issues.label_quality.min()]) == [0]


def test_quality_by_hand():
    """Without T the odds are 4, with T those of `clean` times .9 / .2: the quality has their geometric mean."""
    proba, T, codes = np.array([[0.8, 0.2]] * 4), np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0, 0, 0])
    audit = audit_of(proba, np.array(list("aaaa")), np.array(["a", "b"]), codes, T)
    clean = audit.issues.predicted_confidence[0]
    odds = clean / (1 - clean) * 0.9 / 0.2
    assert audit.refurbished_proba_[0, 0] == pytest.approx(odds / (1 + odds))
    assert audit.issues.label_quality[0] == pytest.approx(np.sqrt(4 * odds) / (1 + np.sqrt(4 * odds)))


QUICK = {"n_warmup_epochs": 1, "n_cycles": 3, "n_folds": 1, "random_state": 0, "device": "cpu"}


def test_a_flywheel_is_heard_in_every_cycle(digits):
    X, given, _ = digits
    X, given = X[:200], given[:200]
    train, test, classes = np.arange(150), np.arange(150, 200), np.unique(given)
    heard = []

    def note(wheel, row):
        rows, nets = torch.tensor(X[test], dtype=torch.float32), (wheel.main, wheel.aux)
        heard.extend(t.log_probs(t.forward(rows)).detach().exp().numpy() for t in nets)
        return {"mine": 1.0}

    model = FlywheelClassifier(on_cycle=note, **QUICK)
    proba, T = judge_fold(model, X, given, classes, train, test)
    assert len(heard) == 6 and model.on_cycle is note
    np.testing.assert_allclose(proba, np.mean(heard, axis=0), atol=1e-5)
    np.testing.assert_allclose(T.sum(axis=1), 1)


@pytest.mark.parametrize("form", [np.asarray, list, lambda X: SliceDataset(TensorDataset(torch.from_numpy(X)))])
def test_a_flywheel_judges_pictures(digits, form):
    pictures, given = digits[0][:80].reshape(-1, 8, 8).astype(np.uint8), digits[1][:80] < 5
    issues = cross_val_label_issues(FlywheelClassifier(**QUICK), form(pictures), given, cv=2)
    assert len(issues) == 80 and issues.label_quality.between(0, 1).all()


def test_workers_that_read_held_out_rows_end_with_their_fold(digits, monkeypatch):
    """Each fold left its own behind."""
    for name in ("PAYS_PER_ROW", "PAYS_IN_ALL", "PROBE_SECONDS"):
        monkeypatch.setattr(f"noisyflywheel.data.sources.{name}", 0.0)
    monkeypatch.setattr("noisyflywheel.data.sources.n_workers_here", lambda row_bytes: 1)
    before, seen = set(multiprocessing.active_children()), []

    def count(flywheel, row):
        seen.append(len(set(multiprocessing.active_children()) - before))

    X = SliceDataset(TensorDataset(torch.from_numpy(digits[0][:150]).float()))
    model = FlywheelClassifier(**QUICK | {"n_cycles": 2}, on_cycle=count)
    gc.disable()  # nor do they wait for it
    try:
        cross_val_label_issues(model, X, digits[1][:150], cv=2)
    finally:
        gc.enable()
    assert seen == [2, 2] * 2 and not set(multiprocessing.active_children()) - before


@pytest.mark.parametrize(("asked", "expected"), [(0, 0), (1, 2)])
def test_held_out_rows_are_read_as_the_nets_ask_for(digits, asked, expected):
    seen, before = [], set(multiprocessing.active_children())
    main = NeuralNetClassifier(
        MLP, criterion=nn.CrossEntropyLoss, train_split=None, verbose=0, iterator_train__num_workers=asked
    )

    def count(flywheel, row):
        seen.append(len(set(multiprocessing.active_children()) - before))

    X = SliceDataset(TensorDataset(torch.from_numpy(digits[0][:150]).float()))
    model = FlywheelClassifier(main, **QUICK | {"n_cycles": 1}, on_cycle=count)
    cross_val_label_issues(model, X, digits[1][:150], cv=2)
    assert seen == [expected] * 2  # those of the training, too


def test_a_flywheel_in_a_pipeline_sees_held_out_rows_transformed(digits):
    X, given, _ = digits
    train, test, classes = np.arange(150), np.arange(150, 153), np.unique(given)
    alone = judge_fold(FlywheelClassifier(**QUICK), X * 0.5, given, classes, train, test)[0]
    halve = FunctionTransformer(lambda rows: rows * 0.5)
    piped = judge_fold(make_pipeline(halve, FlywheelClassifier(**QUICK)), X, given, classes, train, test)[0]
    np.testing.assert_array_equal(alone, piped)
    np.testing.assert_array_equal(
        alone, judge_fold(Pipeline([("last", FlywheelClassifier(**QUICK))]), X * 0.5, given, classes, train, test)[0]
    )


def test_with_checkpoints_the_last_cycle_counts(digits, tmp_path):
    X, given, _ = digits
    train, test, classes = np.arange(150), np.arange(150, 170), np.unique(given)
    model = FlywheelClassifier(checkpoint_dir=tmp_path, **QUICK)
    proba, _ = judge_fold(model, X, given, classes, train, test)
    fitted = FlywheelClassifier(**QUICK).fit(X[train], given[train])
    np.testing.assert_array_equal(proba, fitted.predict_proba(X[test]))


@pytest.mark.processes
def test_flywheels_of_folds_side_by_side(digits):
    X, given, y = digits
    X, given = X[:300], given[:300]
    one = cross_val_audit(FlywheelClassifier(**QUICK), X, given, cv=2)
    two = cross_val_audit(FlywheelClassifier(**QUICK), X, given, cv=2, n_jobs=2)
    np.testing.assert_allclose(one.clean_proba_, two.clean_proba_, atol=1e-4)
    order = np.argsort(one.issues.label_quality.to_numpy())
    assert (np.diff(one.clean_proba_[order]) >= 0).all()


@pytest.mark.parametrize("cv", [np.int64(5), None])
def test_groups_count_with_any_number_of_folds(digits, cv):
    X, given, _ = digits
    X, given, groups = X[:200], given[:200], np.arange(200) // 4
    expected = cross_val_label_issues(KNeighborsClassifier(1), X, given, cv=5, groups=groups)
    found = cross_val_label_issues(KNeighborsClassifier(1), X, given, cv=cv, groups=groups)
    pd.testing.assert_frame_equal(found, expected)
    assert n_folds(np.int64(5)) == 5


def test_rows_without_a_group_are_one_group(digits):
    X, given, groups = digits[0][:200], digits[1][:200], np.arange(200) // 4
    named = np.array([f"p{group}" for group in groups], dtype=object)
    for missing in (np.nan, None, 7):
        seen = []

        class Spy(KNeighborsClassifier):
            def fit(self, X, y):
                seen.append({*X[:, 0].astype(int)})  # noqa: B023
                return super().fit(X, y)

        rows, mixed = np.arange(200)[:, None], pd.Series(np.where(groups % 10 == 0, missing, named), dtype=object)
        cross_val_label_issues(Spy(), np.hstack([rows, X]), given, cv=2, groups=mixed)
        together = {*np.flatnonzero(groups % 10 == 0)}
        assert sorted(len(together & fold) for fold in seen) == [0, len(together)]


def test_weights_of_other_rows_are_refused(digits):
    X, given = pd.DataFrame(digits[0][:100]), pd.Series(digits[1][:100])
    for weights in (np.ones(99), np.ones(101), np.ones((100, 1))):
        with pytest.raises(ValueError, match=r"sample_weight has shape \(.*\), y has \(100,\)"):
            cross_val_audit(LogisticRegression(), X, given, cv=2, sample_weight=weights)
    with pytest.raises(ValueError, match="X and sample_weight have different indices"):
        cross_val_audit(LogisticRegression(), X, given, cv=2, sample_weight=pd.Series(1.0, index=range(1, 101)))


def test_rows_of_different_indices_are_refused(digits):
    X, given = pd.DataFrame(digits[0][:100]), pd.Series(digits[1][:100])
    with pytest.raises(ValueError, match="index labels in another order"):
        cross_val_label_issues(KNeighborsClassifier(), X[::-1], given, cv=2)
    with pytest.raises(ValueError, match="different indices"):
        cross_val_audit(KNeighborsClassifier(), X.set_axis(X.index + 1), given, cv=2)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        cross_val_audit(KNeighborsClassifier(), X[1:], given, cv=2)


@pytest.mark.filterwarnings("ignore:A column-vector")
def test_a_column_of_labels_is_one(digits):
    X, given, _ = digits
    plain = cross_val_label_issues(KNeighborsClassifier(), X[:200], given[:200], cv=2)
    pd.testing.assert_frame_equal(plain, cross_val_label_issues(KNeighborsClassifier(), X[:200], given[:200, None], 2))


def test_what_is_refused():
    X = np.zeros((6, 1))
    with pytest.raises(ValueError, match="one class only"):
        cross_val_label_issues(LogisticRegression(), X, np.zeros(6, int))
    with pytest.raises(ValueError, match=r"NaN or None \(first in row 1\)"):
        cross_val_label_issues(LogisticRegression(), X, ["a", None] * 3)
    with pytest.raises(ValueError, match="hold out every row"):
        cross_val_label_issues(LogisticRegression(), X, [0, 1] * 3, cv=ShuffleSplit(1, random_state=0))
    with pytest.raises(ValueError, match="hold out every row once"):
        cross_val_label_issues(LogisticRegression(), X, [0, 1] * 3, cv=RepeatedKFold(n_splits=2, n_repeats=2))
    groups, y = pd.Series(range(6), index=range(1, 7)), pd.Series([0, 1] * 3)
    with pytest.raises(ValueError, match="y and groups have different indices"):
        cross_val_label_issues(LogisticRegression(), X, y, cv=2, groups=groups)
    with pytest.raises(ValueError, match="[Uu]nknown label type"):
        cross_val_label_issues(LogisticRegression(), X, np.linspace(0, 1, 6))


@pytest.mark.parametrize("left", [b"", b"PK\x03\x04", b"no archive"])
def test_a_fold_that_was_not_written_whole_is_judged_anew(digits, tmp_path, left):
    X, y, *_ = digits
    first = cross_val_audit(KNeighborsClassifier(), X[:40], y[:40] % 2, cv=2, fold_dir=tmp_path)
    for path in tmp_path.glob("fold-*.npz"):
        path.write_bytes(left)
    again = cross_val_audit(KNeighborsClassifier(), X[:40], y[:40] % 2, cv=2, fold_dir=tmp_path)
    pd.testing.assert_frame_equal(again.issues, first.issues)
    assert {path.suffix for path in tmp_path.iterdir()} == {".npz"}
    assert all(path.stat().st_size > 100 for path in tmp_path.iterdir())


@pytest.mark.parametrize("cv", [5, StratifiedGroupKFold(5), GroupKFold(5), None])
@pytest.mark.parametrize(("n", "advice"), [(1, "1 group: at least two groups"), (3, "3 groups: pass cv=3 or")])
def test_fewer_groups_than_folds_are_named(digits, cv, n, advice):
    X, given = digits[0][:60], digits[1][:60]
    with pytest.raises(ValueError, match=f"cv asks for 5 folds, and groups has {advice}"):
        cross_val_label_issues(KNeighborsClassifier(1), X, given, cv=cv, groups=np.arange(60) % n)


def test_several_inputs_are_refused_as_that(digits):
    X, given = digits[0][:60], digits[1][:60]
    with pytest.raises(TypeError, match="X is a tuple of 2 arrays of 60 rows, but rows are one array"):
        cross_val_label_issues(KNeighborsClassifier(1), (X, X), given)
