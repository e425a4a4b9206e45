"""A second fit, an interrupted one, and what a prediction depends on."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from torch import nn

from noisyflywheel import FlywheelClassifier, FlywheelWarning
from noisyflywheel.backbones import MLP
from noisyflywheel.estimator.inputs.labelled_rows import labelled_rows
from noisyflywheel.estimator.job.warm_start import earlier_fit
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.nets.trainer import Trainer
from noisyflywheel.noise import symmetric

pytestmark = pytest.mark.usefixtures("quick_folds")

X, Y = load_digits(return_X_y=True)
X, Y = X[:300], Y[:300]
QUICK = {"n_warmup_epochs": 3, "n_cycles": 3, "n_folds": 1, "random_state": 0, "guard": False}


def interrupt_cycle(monkeypatch, number):
    """Ctrl-C in the M-step of g of this cycle."""
    original = Flywheel._m_step_main

    def step(self, rows):
        if self.state.cycle == number - 1:
            raise KeyboardInterrupt
        return original(self, rows)

    monkeypatch.setattr(Flywheel, "_m_step_main", step)


def test_label_issues_after_ctrl_c(monkeypatch):
    clf = FlywheelClassifier(**QUICK)
    interrupt_cycle(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert clf.n_iter_ == 2
    assert list(clf.get_label_issues()["given_label"]) == list(Y)


def test_label_issues_after_ctrl_c_in_a_second_fit_are_of_that_fit(monkeypatch):
    clf = FlywheelClassifier(**QUICK).fit(X, Y)
    interrupt_cycle(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X[:200], Y[:200][::-1])
    assert list(clf.get_label_issues()["given_label"]) == list(Y[:200][::-1])


def test_a_refit_without_f_predicts_by_g():
    clf = FlywheelClassifier(**QUICK).fit(X, Y)
    clf.set_params(refurbish=False).fit(X, Y)
    assert not hasattr(clf, "aux_net_")
    fresh = FlywheelClassifier(**QUICK, refurbish=False).fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), fresh.predict_proba(X))


@pytest.mark.parametrize(
    ("name", "value"), [("refurbish", False), ("warm_start", True), ("n_cycles", 1), ("device", "meta")]
)
def test_parameters_set_after_fit_do_not_change_predictions(name, value):
    clf = FlywheelClassifier(**QUICK).fit(X, Y)
    before = clf.predict_proba(X)
    clf.set_params(**{name: value})
    np.testing.assert_array_equal(clf.predict_proba(X), before)


def test_a_fit_on_the_cpu_leaves_no_seed_for_cuda():
    queued = len(getattr(torch.cuda, "_queued_calls", []))
    state = torch.get_rng_state()
    FlywheelClassifier(**QUICK).fit(X, Y)
    assert len(getattr(torch.cuda, "_queued_calls", [])) == queued
    assert torch.equal(torch.get_rng_state(), state)


def test_warm_start_wants_the_same_rows():
    clf = FlywheelClassifier(**QUICK, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="warm_start=True needs the rows, features, classes, labels and weights"):
        clf.fit(X + 1.0, Y)
    with pytest.raises(ValueError, match="warm_start=True needs"):
        clf.fit(X, Y, sample_weight=np.arange(300) + 1.0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"main_net__module__hidden": (5,)}, "size mismatch for"),
        ({"main_net__callbacks": [("steps", LRScheduler("StepLR", step_size=1))]}, "'steps'"),
    ],
)
def test_a_net_of_other_weights_or_callbacks_cannot_go_on(changed, words):
    net = NeuralNetClassifier(MLP, module__hidden=(4,), criterion=nn.CrossEntropyLoss, train_split=None)
    clf = FlywheelClassifier(net, **QUICK, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match=f"warm_start=True goes on with .* other weights or callbacks .*{words}"):
        clf.set_params(**changed).fit(X, Y)
    assert clf.n_iter_ == QUICK["n_cycles"]


def test_without_warm_start_what_an_earlier_fit_left_is_not_gone_on_from():
    clf = FlywheelClassifier(**QUICK, warm_start=True).fit(X, Y)
    data = labelled_rows(clf, X, Y, None)
    assert earlier_fit(clf, data) is clf._kept
    assert earlier_fit(clf.set_params(warm_start=False), data) is None


def test_warm_start_trains():
    """Ten cycles and forty are as good as fifty; ten alone are worse (`-m slow` has five seeds)."""
    given = symmetric(Y, 0.5, random_state=0)
    clf = FlywheelClassifier(n_warmup_epochs=5, n_cycles=2, random_state=0, guard=False, warm_start=True).fit(X, given)
    before = [p.detach().clone() for p in clf.aux_net_.module_.parameters()]
    clf.fit(X, given)
    moved = [
        float((p.detach() - q).abs().max()) for p, q in zip(clf.aux_net_.module_.parameters(), before, strict=True)
    ]
    assert max(moved) > 0.01


@pytest.mark.slow
def test_ten_cycles_and_forty_are_fifty():
    digits, y = load_digits(return_X_y=True)
    scores = {"whole": [], "parts": []}
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(y))
        train, test = order[:1257], order[1257:]
        given = symmetric(y[train], 0.5, random_state=seed)
        whole = FlywheelClassifier(random_state=seed, n_cycles=50).fit(digits[train], given)
        parts = FlywheelClassifier(random_state=seed, n_cycles=10, warm_start=True).fit(digits[train], given)
        parts.set_params(n_cycles=40).fit(digits[train], given)
        for name, clf in (("whole", whole), ("parts", parts)):
            scores[name].append(clf.score(digits[test], y[test]))
    assert abs(np.mean(scores["parts"]) - np.mean(scores["whole"])) <= 0.005, scores


def collapse(monkeypatch, cycles):
    """y^ becomes one class at the end of these cycles (counted from 1)."""
    original = Flywheel._resample

    def resample(self, rows):
        original(self, rows)
        if self.state.cycle + 1 in cycles:
            self.state.y_hat[:] = 0

    monkeypatch.setattr(Flywheel, "_resample", resample)


def test_a_cycle_that_the_guard_undid_counts_once(monkeypatch):
    rates = []
    clf = FlywheelClassifier(
        n_warmup_epochs=3,
        n_cycles=5,
        n_folds=1,
        random_state=0,
        on_cycle=lambda flywheel, row: rates.append(flywheel.aux.net.optimizer_.param_groups[0]["lr"]),
    )
    collapse(monkeypatch, {2})
    with pytest.warns(FlywheelWarning, match="in cycle 2: went back to the state before it"):
        clf.fit(X, Y)
    assert list(clf.history_["cycle"]) == [1, 2, 3, 4, 5]
    assert list(clf.history_["undone"]) == [False, True, False, False, False]
    assert clf.n_iter_ == 5
    np.testing.assert_allclose(rates, 0.015 * np.array([1, 1, 1, 0.75, 0.25]))  # the cosine goes on to its end


def test_a_second_collapse_stops_with_the_state_before_it(monkeypatch):
    collapse(monkeypatch, {2, 3})
    with pytest.warns(FlywheelWarning) as caught:
        clf = FlywheelClassifier(n_warmup_epochs=3, n_cycles=5, n_folds=1, random_state=0).fit(X, Y)
    assert "in cycle 2: went back" in str(caught[0].message)
    assert "in cycle 3 again: stopped with the state before it" in str(caught[1].message)
    assert list(clf.history_["cycle"]) == [1, 2, 3] and clf.n_iter_ == 3
    assert np.bincount(clf.refurbished_labels_).max() < 60


def batch_sizes_of_predictions(monkeypatch):
    seen = []
    original = Trainer.predict_parts

    def predict_parts(self, source, view, rows, batch_size, *more, **named):
        seen.append(batch_size)
        return original(self, source, view, rows, batch_size, *more, **named)

    monkeypatch.setattr(Trainer, "predict_parts", predict_parts)
    return seen


def test_predictions_follow_the_batch_size_of_a_users_net(monkeypatch):
    net = NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, batch_size=16, lr=0.01, train_split=None)
    seen = batch_sizes_of_predictions(monkeypatch)
    clf = FlywheelClassifier(net, **QUICK).fit(X, Y)
    clf.predict(X)
    assert set(seen) == {16}


def test_predictions_of_default_nets_use_batches_that_memory_allows(monkeypatch):
    seen = batch_sizes_of_predictions(monkeypatch)
    FlywheelClassifier(**QUICK).fit(X, Y).predict(X)
    assert set(seen) == {512}
    seen.clear()
    wide = np.random.default_rng(0).normal(size=(40, 6000))
    FlywheelClassifier(**QUICK | {"n_cycles": 1, "n_warmup_epochs": 1}).fit(wide, np.arange(40) % 2)
    assert set(seen) == {1024 * 3 * 32 * 32 // 2 // 6000}


def test_clone_of_a_fitted_estimator_is_not_fitted():
    clf = FlywheelClassifier(**QUICK).fit(X, Y)
    assert not hasattr(clone(clf), "classes_")


def test_a_refused_fit_leaves_the_estimator_as_it_was():
    """The columns of the new table are learnt before the labels are looked at."""
    table = pd.DataFrame({"pen": np.where(Y > 4, "blue", "red"), "size": X[:, 20]})
    clf = FlywheelClassifier(**QUICK).fit(table, Y > 4)
    before, attributes = clf.predict_proba(table), dict(vars(clf))
    other = table.assign(pen=np.where(Y > 4, "red", "blue"), more=X[:, 30])
    with pytest.raises(ValueError, match="one class only"):
        clf.fit(other, np.zeros(len(Y)))
    assert vars(clf) == attributes
    np.testing.assert_array_equal(clf.predict_proba(table), before)


def test_a_fit_that_fails_in_a_cycle_leaves_nothing_fitted():
    def fail(flywheel, row):
        raise RuntimeError("mine")

    clf = FlywheelClassifier(**QUICK, on_cycle=fail)
    attributes = set(vars(clf))
    with pytest.raises(RuntimeError, match="mine"):
        clf.fit(X, Y)
    assert set(vars(clf)) == attributes


@pytest.mark.parametrize("kind", [np.asarray, pd.Series])
def test_labels_that_the_caller_changes_afterwards_change_nothing(kind):
    given = kind(Y.copy())
    clf = FlywheelClassifier(**QUICK).fit(X, given)
    given[:50] = 0
    assert clf.get_label_issues()["given_label"].tolist() == Y.tolist()
