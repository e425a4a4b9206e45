"""What callbacks of a user's nets are told, and keep, at every end and continuation of a fit."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import make_blobs
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, Freezer, TrainEndCheckpoint
from torch import nn

from noisyflywheel import FlywheelClassifier, FlywheelWarning
from noisyflywheel.backbones import MLP

X, Y = make_blobs(120, 4, centers=3, random_state=0)


class Ends(Callback):
    """Counts the calls at the end of the training of both nets."""

    calls = 0

    def on_train_end(self, net, **kwargs):
        type(self).calls += 1


class FailsAtTheEnd(Callback):
    def on_train_end(self, net, **kwargs):
        raise ZeroDivisionError


class StopsAtTheEnd(Callback):
    def on_train_end(self, net, **kwargs):
        raise KeyboardInterrupt


class StopsAfter(Callback):
    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def from_zero():
    Ends.calls = 0


def classifier(*callbacks, on_cycle=None, n_cycles=2, **params):
    """With nets that have these callbacks."""
    net = NeuralNetClassifier(
        MLP, criterion=nn.CrossEntropyLoss, lr=0.05, batch_size=32, train_split=None, callbacks=list(callbacks)
    )
    settings = {"n_warmup_epochs": 2, "n_cycles": n_cycles, "random_state": 0, "on_cycle": on_cycle}
    return FlywheelClassifier(net, **settings | params)


def interrupt(flywheel, row):
    """Ctrl-C after the second cycle."""
    if row["cycle"] == 2:
        raise KeyboardInterrupt


def impatient(patience=1, **params):
    """Stops so many epochs after the first one."""
    return EarlyStopping("train_loss", patience=patience, threshold=0.9, sink=lambda text: None, **params)


def test_both_nets_hear_of_the_end_of_a_fit():
    classifier(Ends()).fit(X, Y)
    assert Ends.calls == 2


def test_both_nets_hear_of_the_end_after_a_callback_has_stopped_the_warm_up():
    with pytest.warns(FlywheelWarning, match="before the first cycle"):
        classifier(impatient(), Ends(), n_warmup_epochs=9).fit(X, Y)
    assert Ends.calls == 2


@pytest.mark.parametrize(
    ("epoch", "where", "n_warmup_epochs"),
    [(1, "epoch 1 of the warm-up", 0), (2, "epoch 2 of the warm-up", 1), (3, "epoch 3, in the first cycle", 2)],
)
def test_a_stop_before_the_end_of_the_first_cycle_says_where(epoch, where, n_warmup_epochs):
    clf = classifier(StopsAfter(epoch))
    with pytest.warns(FlywheelWarning, match=f"StopsAfter of a net stopped the training in on_epoch_end, {where}"):
        clf.fit(X, Y)
    assert (clf.n_warmup_epochs_, clf.n_iter_) == (n_warmup_epochs, 0)


def test_a_net_that_stops_early_has_its_best_weights():
    clf = classifier(("stop", impatient(3, load_best=True)), n_cycles=9).fit(X, Y)
    assert 0 < clf.n_iter_ < 9
    best = dict(clf.aux_net_.callbacks_)["stop"].best_model_weights_
    for name, weight in clf.aux_net_.module_.state_dict().items():
        assert torch.equal(weight, best[name])


@pytest.mark.parametrize("make", [lambda **k: Checkpoint(monitor=lambda net: True, **k), TrainEndCheckpoint])
def test_nets_whose_checkpoints_are_one_file_are_refused(make, tmp_path):
    shared = classifier(("kept", make(dirname=tmp_path)))
    with pytest.raises(ValueError, match="main_net and aux_net both write '.*history.json'"):
        shared.fit(X, Y)
    shared.set_params(aux_net=clone(shared.main_net)).set_params(aux_net__callbacks__kept__fn_prefix="f_").fit(X, Y)
    assert {path.name for path in tmp_path.iterdir()} > {"f_params.pt"}


def test_both_nets_hear_of_the_end_after_ctrl_c():
    clf = classifier(Ends(), on_cycle=interrupt)
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert Ends.calls == 2 and clf.n_iter_ == 1


def test_an_error_at_the_end_after_ctrl_c_leaves_what_was_learnt():
    clf = classifier(FailsAtTheEnd(), on_cycle=interrupt)
    with pytest.raises(ZeroDivisionError) as raised:
        clf.fit(X, Y)
    assert isinstance(raised.value.__context__, KeyboardInterrupt)
    assert clf.n_iter_ == 1 and len(clf.get_label_issues()) == len(Y)


def test_a_callback_that_stops_at_the_end_has_nothing_to_stop():
    assert classifier(StopsAtTheEnd(), Ends()).fit(X, Y).n_iter_ == 2
    assert Ends.calls == 0  # as in skorch, those after it are not told


def test_a_net_that_has_not_trained_has_no_end(monkeypatch):
    clf = classifier(impatient(load_best=True), Ends())
    monkeypatch.setattr("noisyflywheel.loop.run.FlywheelRun.start", lambda *args: interrupt(None, {"cycle": 2}))
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, Y)
    assert Ends.calls == 0


def test_frozen_weights_stay_frozen_in_a_warm_started_fit():
    clf = classifier(Freezer("body.0.*"), warm_start=True).fit(X, Y)
    frozen = [name for name, p in clf.aux_net_.module_.named_parameters() if not p.requires_grad]
    before = {name: p.detach().clone() for name, p in clf.aux_net_.module_.named_parameters()}
    clf.fit(X, Y)
    assert frozen and frozen != list(before)
    for name, weight in clf.aux_net_.module_.named_parameters():
        assert weight.requires_grad == (name not in frozen)
        assert np.array_equal(weight.detach(), before[name]) == (name in frozen)


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ({"average_epochs": 0}, {"average_epochs": 2}, "average_epochs"),
        ({}, {"refurbish": False}, "refurbish"),
        ({"refurbish": False}, {"refurbish": True}, "refurbish"),
        ({"contrastive_weight": 0}, {"contrastive_weight": 0.1}, "contrastive_weight"),
        ({"contrastive_weight": 0.1}, {"contrastive_weight": 0}, "contrastive_weight"),
        ({}, {"main_net__lr": 0.5}, "main_net__lr"),
        ({}, {"main_net__optimizer__momentum": 0.9}, "main_net__optimizer__momentum"),
        ({}, {"main_net": None}, "main_net__lr"),
    ],
)
def test_a_parameter_that_cannot_change_before_a_warm_started_fit_is_named(before, after, name):
    clf = classifier(warm_start=True, n_cycles=1, **before).fit(X, Y)
    proba = clf.predict_proba(X)
    clf.set_params(n_folds=1, **after)
    with pytest.raises(ValueError, match=f"warm_start=True goes on with .* last fit,.* {name} "):
        clf.fit(X, Y)
    np.testing.assert_array_equal(clf.predict_proba(X), proba)


@pytest.mark.parametrize(
    "after", [{"cycle_size": 60}, {"main_net__batch_size": 16}, {"average_epochs": 0}, {"contrastive_weight": 0.2}]
)
def test_other_parameters_may_change_before_a_warm_started_fit(after):
    clf = classifier(warm_start=True, n_cycles=1, average_epochs=2, contrastive_weight=0.1).fit(X, Y)
    assert clf.set_params(**after).fit(X, Y).n_iter_ == 2


def test_a_net_that_stopped_early_stops_again_when_it_goes_on():
    clf = classifier(impatient(3), n_cycles=9, warm_start=True).fit(X, Y)
    first = clf.n_iter_
    clf.fit(X, Y)
    assert first < 9 and first < clf.n_iter_ < first + 9
