"""A fit with folds: who trains on what, what the cycles find, what is kept."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.job.assemble import untrained_flywheel

pytestmark = pytest.mark.usefixtures("quick_folds")


def blobs(n=400, seed=0, spread=0.7):
    """Three overlapping classes in mixed units, a quarter of the first one labelled as the second."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    centres = np.array([[0, 0], [2, 0], [1, 2.0]])
    X = (centres[y] + rng.normal(size=(n, 2)) * spread) * [1, 1000]
    given = y.copy()
    given[(y == 0) & (rng.random(n) < 0.4)] = 1
    return X.astype(np.float32), y, given


def made(n=60, **params):
    X, _, given = blobs(n)
    clf = FlywheelClassifier(n_folds=5, **params)
    return untrained_flywheel(clf, torch.from_numpy(X), given, 3, [0, 1, 2])


def test_a_member_never_moves_by_rows_of_its_own_fold():
    """Labels of fold 0 of the first family change; its member 0 comes out the same, bit by bit, all others do not."""
    ends = []
    for change in (False, True):
        flywheel = made()
        if change:
            rows = flywheel.folds.own[0].unique()
            flywheel.given[rows] = (flywheel.given[rows] + 1) % 3
        torch.manual_seed(0)
        flywheel.warm_up_epoch([])
        ends.append(flywheel.aux.net.module_.families[0].w3.detach().clone())
    assert torch.equal(ends[0][0], ends[1][0])
    assert not any(torch.equal(ends[0][m], ends[1][m]) for m in range(1, 5))


def test_predictions_of_unseen_rows_are_those_of_the_members_that_left_them_out():
    flywheel = made()
    found = flywheel._unseen(flywheel.aux)
    module = flywheel.aux.net.module_
    every = flywheel.loader.source.take(torch.arange(60))
    module.eval()
    prob = module.apart(every.expand(10, *every.shape)).softmax(-1)  # every member on every row
    for row in (0, 17, 59):
        for family in (0, 1):
            member = int(flywheel.folds.fold[family, row]) + 5 * family
            torch.testing.assert_close(found[family, row], prob[member, row])


@pytest.fixture(scope="module")
def fitted():
    X, y, given = blobs(spread=0.4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("noisyflywheel.backbones.importance.N_TREES", 20)
        return FlywheelClassifier(random_state=0, n_warmup_epochs=20, n_cycles=8).fit(X, given), X, y, given


def test_errors_of_one_class_are_found(fitted):
    clf, _, y, given = fitted
    assert roc_auc_score(given == y, clf.clean_proba_) > 0.85
    assert clf.transition_matrix_[0, 1] > 0.15 and clf.transition_matrix_[1, 0] < 0.1
    assert (clf.refurbished_labels_ == y).mean() > (given == y).mean() + 0.005


def test_the_cycles_count_as_much_as_they_are_better(fitted):
    clf, X, *_ = fitted
    share = clf.decisions_.set_index("decision").loc["prediction", "share"]
    module = clf.aux_net_.module_
    assert float(module.kept_share) == pytest.approx(1 - share)
    np.testing.assert_allclose(clf.aux_net_.predict_proba(X), clf.predict_proba(X), atol=1e-5)


def test_the_warm_up_predicts_the_true_classes_not_the_labels():
    (X, _, given), (unseen, y, _) = blobs(700, spread=0.6), blobs(2000, seed=9, spread=0.6)
    clf = FlywheelClassifier(random_state=0, n_warmup_epochs=12, n_cycles=1).fit(X, given)
    module, found = clf.aux_net_.module_, clf.score(unseen, y)
    assert float(module.kept_share) > 0.5 and float(module.kept_division[0, 1]) > 0.02
    module.mix_in_kept(module.kept_share.clone())  # as they say it
    assert found > clf.score(unseen, y) + 0.005


def test_saved_and_loaded(fitted, tmp_path):
    clf, X, *_ = fitted
    clf.save(tmp_path / "model")
    loaded = FlywheelClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


def test_folds_may_be_numbers_of_numpy_as_searches_draw_them(quick_folds):
    X, _, given = blobs(60)
    fits = [FlywheelClassifier(n_folds=n, n_warmup_epochs=1, n_cycles=1, random_state=0) for n in (2, np.int64(2))]
    proba = [clf.fit(X, given).predict_proba(X) for clf in fits]
    assert np.array_equal(*proba)


def test_a_warm_start_keeps_its_folds():
    X, _, given = blobs(120)
    clf = FlywheelClassifier(n_warmup_epochs=2, n_cycles=2, warm_start=True).fit(X, given)  # fresh entropy in each fit
    first = clf._kept["snapshot"]["fold"]
    clf.fit(X, given)
    assert torch.equal(clf._kept["snapshot"]["fold"], first) and clf.n_iter_ == 4


def test_rows_of_weight_0_are_judged_by_members_that_never_saw_them():
    X, y, given = blobs(300)
    weights = np.r_[np.full(200, 1.5), np.full(50, 0.5), np.zeros(50)]
    clf = FlywheelClassifier(n_warmup_epochs=10, n_cycles=2, random_state=0).fit(X, given, sample_weight=weights)
    alone = FlywheelClassifier(n_warmup_epochs=10, n_cycles=2, random_state=0).fit(
        X[:250], given[:250], sample_weight=weights[:250]
    )
    np.testing.assert_allclose(clf.predict_proba(X), alone.predict_proba(X), atol=1e-5)
    wrong = given[250:] != y[250:]
    assert clf.label_quality_[250:][wrong].mean() < clf.label_quality_[250:][~wrong].mean()
