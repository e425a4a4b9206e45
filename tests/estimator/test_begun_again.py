"""One net on all rows that turns against itself: the fit begins again with folds, where these are possible."""

import functools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier, FlywheelWarning
from noisyflywheel.estimator.auto.defaults import choose_folds_instead
from noisyflywheel.estimator.callbacks import HAS_CALLBACKS
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.large import LARGE
from noisyflywheel.loop.with_folds.out_of_fold import OutOfFoldFlywheel
from noisyflywheel.views import VectorViews

X, Y = load_digits(return_X_y=True)
X, Y = X[:220], Y[:220]
QUICK = {"n_warmup_epochs": 2, "n_cycles": 3, "random_state": 0}


@pytest.fixture(autouse=True)
def turning(monkeypatch, quick_folds):
    """One net on all rows gives every row the same class in its second and third cycle."""
    original = Flywheel._resample

    def resample(self, rows):
        original(self, rows)
        if self.state.cycle in (1, 2):
            self.state.y_hat[:] = 0

    monkeypatch.setattr(Flywheel, "_resample", resample)


def fit(clf, outcome="begins again with 5 folds"):
    """Fit, which has to end with a warning of this outcome."""
    with pytest.warns(FlywheelWarning) as caught:
        try:
            clf.fit(X, Y)
        finally:
            assert f"in cycle 3 again: {outcome}" in str(caught[-1].message)
    return clf


def fitted(**params):
    return fit(FlywheelClassifier(**QUICK | params))


@functools.cache
def with_folds():
    return FlywheelClassifier(**QUICK, n_folds=5).fit(X, Y)


def assert_as_with_folds(clf):
    folds = with_folds()
    for name in ("clean_proba_", "label_quality_", "refurbished_proba_", "transition_matrix_"):
        np.testing.assert_array_equal(getattr(clf, name), getattr(folds, name), err_msg=name)
    np.testing.assert_array_equal(clf.predict_proba(X), folds.predict_proba(X))
    assert list(clf.history_["cycle"]) == [1, 2, 3]


def test_the_result_is_that_of_folds():
    clf = fitted()
    assert_as_with_folds(clf)
    row = clf.decisions_.set_index("decision").loc["n_folds"]
    assert row["chosen"] == "5" and clf.n_folds == "auto"
    assert row["reason"].startswith("one net on all rows turned against itself: the class proportions")


def test_one_net_that_was_asked_for_stops():
    clf = fit(FlywheelClassifier(**QUICK, n_folds=1), "stopped with the state before it")
    assert clf.n_iter_ == 3


def test_a_fit_that_began_again_and_died_goes_on_with_folds(tmp_path, monkeypatch):
    begun = []
    original = Flywheel.warm_up_epoch
    monkeypatch.setattr(Flywheel, "warm_up_epoch", lambda self, *args: begun.append(self) or original(self, *args))
    step = OutOfFoldFlywheel._resample

    def dies(self, rows):
        if self.state.cycle == 1:
            raise KeyboardInterrupt
        step(self, rows)

    monkeypatch.setattr(OutOfFoldFlywheel, "_resample", dies)
    with pytest.raises(KeyboardInterrupt):
        fitted(checkpoint_dir=tmp_path)
    assert [type(flywheel) for flywheel in begun] == [Flywheel] * 2 + [OutOfFoldFlywheel] * 2
    monkeypatch.setattr(OutOfFoldFlywheel, "_resample", step)
    clf = fitted(checkpoint_dir=tmp_path)
    assert not any(type(flywheel) is Flywheel for flywheel in begun[4:])
    assert_as_with_folds(clf)


def test_ctrl_c_leaves_the_cycles_with_folds(monkeypatch):
    step = OutOfFoldFlywheel._resample

    def interrupted(self, rows):
        if self.state.cycle == 1:
            raise KeyboardInterrupt
        step(self, rows)

    monkeypatch.setattr(OutOfFoldFlywheel, "_resample", interrupted)
    clf = FlywheelClassifier(**QUICK)
    with pytest.raises(KeyboardInterrupt):
        fit(clf)
    assert clf.n_iter_ == 1 and clf.predict(X).shape == (220,)


def test_warm_start_goes_on_with_folds():
    clf = fitted(warm_start=True)
    clf.fit(X, Y)
    assert list(clf.history_["cycle"]) == [1, 2, 3, 4, 5, 6]
    row = clf.decisions_.set_index("decision").loc["n_folds"]
    assert (row["chosen"], row["reason"]) == ("5", "as in the fit before")


def test_warm_start_with_a_parameter_that_folds_have_no_meaning_for_is_refused():
    clf = fitted(warm_start=True).set_params(mixup_alpha=4.0)
    with pytest.raises(ValueError, match=r"which has n_folds=5, but the parameters ask for 1 \(mixup_alpha is set\)"):
        clf.fit(X, Y)
    with pytest.raises(ValueError, match=r"which has n_folds=5, but the parameters ask for 3 \(asked for\)"):
        clf.set_params(mixup_alpha="auto", n_folds=3).fit(X, Y)


@pytest.mark.skipif(not HAS_CALLBACKS, reason="scikit-learn has callbacks from 1.9 on")
def test_callbacks_see_the_cycles_of_both_forms():
    seen = []

    class Count:
        def setup(self, estimator, context): ...
        def teardown(self, estimator, context): ...
        def on_fit_task_begin(self, estimator, context, **more): ...
        def on_fit_task_end(self, estimator, context, **more):
            seen.append(context.task_name)

    clf = FlywheelClassifier(**QUICK)
    fit(clf.set_callbacks(Count()))
    assert seen == ["cycle"] * 6 + ["fit"]


ROWS = torch.zeros(10, 80)


@pytest.mark.parametrize(
    ("params", "rows", "n_rows", "chosen", "folds"),
    [
        ({}, ROWS, 1000, 1, 5),
        ({}, ROWS, 10_000, 1, 3),
        ({}, ROWS, 40_000, 1, 2),
        ({}, ROWS, 1000, 5, None),
        ({"n_folds": 1}, ROWS, 1000, 1, None),
        ({"views": VectorViews()}, ROWS, 1000, 1, None),
        ({"mixup_alpha": 4.0}, ROWS, 1000, 1, None),
        ({}, torch.zeros(10, 1, 8, 8), 1000, 1, None),
        ({}, ROWS, LARGE // 10, 1, 2),
        ({}, ROWS, LARGE // 10 + 1, 1, None),
    ],
)
def test_folds_to_begin_again_with(params, rows, n_rows, chosen, folds):
    params = FlywheelClassifier(**params).get_params(deep=False)
    assert choose_folds_instead(params, chosen, rows, n_rows, 10) == folds
