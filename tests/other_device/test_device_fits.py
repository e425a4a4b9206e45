"""Fits on a device that is not the CPU: no step mixes devices, and no result is left there."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from device_tensor import STATE
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.audit import cross_val_label_issues
from noisyflywheel.backbones import SmallResNet
from noisyflywheel.exceptions import FlywheelWarning

pytestmark = pytest.mark.usefixtures("quick_folds", "stand_in")

N = 48
rng = np.random.default_rng(0)
true = np.arange(N) % 3
X = (3 * np.eye(4)[true] + rng.normal(size=(N, 4))).astype(np.float32)
given = np.where(np.arange(N) % 5 == 0, (true + 1) % 3, true)
pictures = (rng.integers(0, 80, (N, 3, 8, 8)) + 120 * (true[:, None] == np.arange(3))[..., None, None]).astype(np.uint8)


def classifier(*nets, **params):
    settings = {"n_warmup_epochs": 1, "n_cycles": 1, "device": "cuda", "random_state": 0}
    return FlywheelClassifier(*nets, **settings | params)


def small_net(**params):
    sizes = {"module__width": 4, "module__n_stages": 1, "batch_size": 32, "train_split": None, "device": "cuda"}
    return NeuralNetClassifier(SmallResNet, criterion=nn.CrossEntropyLoss, **sizes | params)


def check(clf, rows, n=N):
    """What a fit leaves: nets on the device, arrays on the host, and answers about rows."""
    net = getattr(clf, "aux_net_", clf.main_net_)
    assert next(net.module_.parameters()).device.type == "cuda"
    np.testing.assert_allclose(clf.predict_proba(rows).sum(1), 1)
    assert len(clf.predict(rows)) == len(clf.get_label_issues()) == n
    for name in ("label_quality_", "clean_proba_", "refurbished_proba_", "transition_matrix_", "corruption_matrix_"):
        assert type(getattr(clf, name)) is np.ndarray


WAYS = {
    "one net": {"n_folds": 1},
    "folds": {"n_folds": 2},
    "the paper's": {"n_folds": 1, "resample": "argmax", "calibrate": False, "cr_ramp": 0, "noise_model": "uniform"},
    "mixed and contrasted": {"n_folds": 1, "mixup_alpha": 4.0, "contrastive_weight": 0.1, "average_epochs": 1.0},
    "calibrated, balanced cycles": {"n_folds": 1, "calibrate": True, "cycle_size": 30},
    "no auxiliary net": {"n_folds": 1, "refurbish": False},
}


both_forms = pytest.mark.parametrize("way", ["one net", pytest.param("folds", marks=pytest.mark.slow)])


@pytest.mark.parametrize("way", WAYS)
def test_vectors(way):
    weights = np.r_[np.zeros(6), np.linspace(0.5, 1, N - 6)]
    check(classifier(**WAYS[way], n_cycles=2).fit(X, given, sample_weight=weights), X)


def test_forests_beside_the_warm_up(monkeypatch):
    monkeypatch.setattr("noisyflywheel.loop.with_folds.forests.NEEDS", -99.0)  # however they do
    clf = classifier(n_folds=2, n_warmup_epochs="auto").fit(X, given)
    trees = clf.aux_net_.module_.trees
    assert len(trees) == 4 and trees.leaf.device.type == "cuda" and clf.aux_net_.module_.tree_share == 1
    check(clf, X)
    check(pickle.loads(pickle.dumps(clf)), X)


@pytest.mark.parametrize("bf16", [pytest.param(False, marks=pytest.mark.slow), True])
def test_pictures(bf16, monkeypatch):
    monkeypatch.setattr(STATE, "bf16", bf16)
    params = {"mixup_alpha": 1.0, "contrastive_weight": 0.1, "average_epochs": 1.0}
    clf = classifier(small_net(), **params).fit(pictures, given)
    assert clf._amp is bf16
    check(clf, pictures)


def test_a_machine_without_bf16_predicts_without_it(monkeypatch, stand_in):
    monkeypatch.setattr(STATE, "bf16", True)
    pickled = pickle.dumps(classifier(small_net()).fit(pictures, given))
    with stand_in.away(), monkeypatch.context() as away, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skorch says that it takes the CPU
        away.setattr("noisyflywheel.estimator.job.assemble.torch.ops.mkldnn._is_mkldnn_bf16_supported", bool)
        away.setattr(torch, "autocast", None)  # undone before the stand-in comes back, which would bring it back
        pickle.loads(pickled).predict(pictures)


def test_rows_that_do_not_fit_on_the_device(monkeypatch):
    monkeypatch.setattr(STATE, "free", 100)
    monkeypatch.setattr("noisyflywheel.loop.loader.MOST_ROWS", 16)  # several copies in a pass
    check(classifier(small_net()).fit(pictures, given), pictures)


def test_many_rows_and_classes(monkeypatch):
    monkeypatch.setattr("noisyflywheel.estimator.job.assemble.LARGE", 0)
    monkeypatch.setattr("noisyflywheel.estimator.fitted.result.LARGE", 0)
    check(classifier(n_folds=1, calibrate=True, contrastive_weight=0.1).fit(X, given), X)


@pytest.mark.slow
def test_a_table_of_mixed_columns():
    table = pd.DataFrame(X, columns=list("abcd")).assign(pen=np.where(np.arange(N) % 2, "blue", None))
    check(classifier(n_folds=2).fit(table, given), table)


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_a_dataset(workers):
    rows = TensorDataset(torch.from_numpy(pictures), torch.from_numpy(given))
    clf = classifier(small_net(iterator_train__num_workers=workers, iterator_valid__num_workers=workers))
    check(clf.fit(rows), pictures)


def test_rows_labels_and_weights_that_are_on_the_device():
    there = [torch.as_tensor(part, device="cuda") for part in (X, given, np.linspace(0.5, 1, N))]
    check(classifier(n_folds=1).fit(there[0], there[1], sample_weight=there[2]), there[0])
    check(classifier(n_folds=1).fit(TensorDataset(*there[:2])), X)


def test_a_net_whose_weights_say_where_it_is():
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).to("cuda")
    net = NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, train_split=None, device=None)
    check(FlywheelClassifier(net, n_warmup_epochs=1, n_cycles=1, random_state=0).fit(X, given), X)


def test_auto_takes_the_device():
    check(FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, n_folds=1, random_state=0).fit(X, given), X)


class Listens(Callback):
    def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
        assert {batch[0].device.type, batch[1].device.type, loss.device.type, y_pred.device.type} == {"cuda"}

    def on_grad_computed(self, net, named_parameters, **kwargs):
        assert all(weight.grad.device.type == "cuda" for _, weight in named_parameters)


def test_callbacks_and_weighted_losses():
    net = small_net(callbacks=[Listens()], criterion__weight=torch.ones(3), criterion__label_smoothing=0.1)
    check(classifier(net).fit(pictures, given), pictures)


@both_forms
def test_an_interrupted_fit_goes_on(way, tmp_path, monkeypatch):
    monkeypatch.setattr("noisyflywheel.loop.watch.checkpoints.SHARE", 1e9)  # one after every cycle

    def stop(wheel, row):
        if row["cycle"] == 2 and not seen:
            seen.append(row)
            raise RuntimeError("the power went out")

    seen = []
    monkeypatch.setattr("noisyflywheel.loop.watch.guard.LEAST_ROWS", 1)
    settings = WAYS[way] | {"n_cycles": 3}
    with pytest.raises(RuntimeError, match="power"):
        classifier(**settings, checkpoint_dir=tmp_path, on_cycle=stop).fit(X, given)
    resumed = classifier(**settings, checkpoint_dir=tmp_path, on_cycle=stop).fit(X, given)
    whole = classifier(**settings).fit(X, given)
    np.testing.assert_array_equal(resumed.label_quality_, whole.label_quality_)


def test_the_guard_goes_back_and_stops(monkeypatch):
    monkeypatch.setattr("noisyflywheel.loop.watch.guard.LEAST_ROWS", 1)
    monkeypatch.setattr("noisyflywheel.loop.watch.guard.DRIFT_MOST", -1.0)
    with pytest.warns(FlywheelWarning, match="turned against itself"):
        clf = classifier(n_folds=1, n_cycles=3).fit(X, given)
    check(clf, X)


@both_forms
def test_a_warm_start_goes_on(way):
    clf = classifier(**WAYS[way], warm_start=True)
    check(clf.fit(X, given).fit(X, given), X)
    assert clf.n_iter_ == 2


@both_forms
def test_what_was_fitted_there_is_read_on_the_cpu(way, tmp_path, stand_in):
    clf = classifier(**WAYS[way]).fit(X, given)
    pickled, expected = pickle.dumps(clf), clf.predict_proba(X)
    clf.save(tmp_path)
    again = [pickle.loads(pickled), FlywheelClassifier.load(tmp_path, device="cuda")]
    for fitted in again:
        np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-6)
    with stand_in.away(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # skorch says that it takes the CPU
        for fitted in (pickle.loads(pickled), FlywheelClassifier.load(tmp_path)):
            np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-5)


def test_an_audit_by_cross_validation():
    issues = cross_val_label_issues(classifier(n_folds=1), X, given, cv=2)
    assert len(issues) == N


def test_results_are_those_of_the_cpu():
    params = {"views": None}
    there, here = classifier(**params).fit(X, given), classifier(**params, device="cpu").fit(X, given)
    np.testing.assert_allclose(there.label_quality_, here.label_quality_, atol=0.02)
    np.testing.assert_allclose(there.predict_proba(X), here.predict_proba(X), atol=0.02)


def test_random_states_are_as_before():
    torch.manual_seed(5)
    before = torch.get_rng_state(), torch.cuda.get_rng_state()
    one, two = classifier(n_folds=1).fit(X, given), classifier(n_folds=1).fit(X, given)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.get_rng_state(), before[1])
    np.testing.assert_array_equal(one.label_quality_, two.label_quality_)
