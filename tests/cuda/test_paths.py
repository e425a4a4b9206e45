"""Every way to fit, on the device: it learns, its results are the host's, and it goes on from where it stopped."""

import numpy as np
import pytest
import torch
from made import make_pictures, make_rows, small_net
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier

pytestmark = pytest.mark.usefixtures("quick_folds")

N = 240


class Probabilities(nn.Module):
    """A user's module as skorch's default criterion wants it."""

    def __init__(self, n_features=4, n_classes=3):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_features, 16), nn.ReLU(), nn.Linear(16, n_classes), nn.Softmax(1))

    def forward(self, x):
        return self.layers(x)


def user_net(device, **params):
    settings = {"lr": 0.02, "optimizer": torch.optim.Adam, "train_split": None, "batch_size": 32}
    return NeuralNetClassifier(Probabilities, device=str(device), **settings | params)


WAYS = {
    "default": {},
    "the paper's": {"resample": "argmax", "calibrate": False, "cr_ramp": 0, "guard": False, "noise_model": "uniform"},
    "mixed and contrasted": {"mixup_alpha": 4.0, "contrastive_weight": 0.025, "average_epochs": 2.0},
    "calibrated and sharpened": {"calibrate": True, "sharpen_temperature": 0.5},
    "no auxiliary net": {"refurbish": False},
    "balanced cycles": {"cycle_size": 200},
    "no views": {"views": None},
}


def check(clf, X, true, device, least=0.8):
    """What a fit leaves: nets on the device, arrays on the host, rows that sum to 1, most rows right."""
    net = getattr(clf, "aux_net_", clf.main_net_)
    assert next(net.module_.parameters()).device.type == device.type
    np.testing.assert_allclose(clf.predict_proba(X).sum(1), 1, atol=1e-9)
    assert np.mean(clf.predict(X) == true) > least
    history = clf.history_.drop(columns="auxiliary_loss") if not clf.refurbish else clf.history_
    assert np.isfinite(history.to_numpy(dtype=float)).all()
    for name in ("label_quality_", "clean_proba_", "refurbished_proba_", "transition_matrix_", "corruption_matrix_"):
        assert isinstance(getattr(clf, name), np.ndarray)


@pytest.mark.parametrize("way", WAYS)
def test_vectors(device, way):
    X, given, true = make_rows(N)
    clf = FlywheelClassifier(n_warmup_epochs=4, n_cycles=4, device=str(device), random_state=0, **WAYS[way])
    check(clf.fit(X, given), X, true, device)


@pytest.mark.parametrize("way", ["default", "mixed and contrasted", "no auxiliary net"])
def test_pictures(device, way):
    X, given, true = make_pictures(300)
    net = small_net(device, batch_size=32)
    clf = FlywheelClassifier(net, n_warmup_epochs=4, n_cycles=3, device=str(device), random_state=0, **WAYS[way])
    check(clf.fit(X, given), X, true, device)


@pytest.mark.parametrize("nets", ["main", "aux", "both"])
def test_users_nets(device, nets):
    X, given, true = make_rows(N)
    own = {"main_net": user_net(device)} if nets != "aux" else {}
    own |= {"aux_net": user_net(device, lr=0.03)} if nets != "main" else {}
    clf = FlywheelClassifier(n_warmup_epochs=8, n_cycles=4, random_state=0, **own)  # the device is the nets' own
    check(clf.fit(X, given), X, true, device)


def test_a_dataset_that_is_read_row_by_row(device):
    X, given, true = make_rows(N)
    data = TensorDataset(torch.from_numpy(X), torch.from_numpy(given))
    clf = FlywheelClassifier(n_warmup_epochs=4, n_cycles=3, device=str(device), random_state=0)
    check(clf.fit(data), X, true, device)


def test_warm_start_goes_on(device):
    X, given, true = make_rows(N)
    clf = FlywheelClassifier(n_warmup_epochs=4, n_cycles=2, warm_start=True, device=str(device), random_state=0)
    check(clf.fit(X, given).fit(X, given), X, true, device)
    assert clf.n_iter_ == 4


def test_an_interrupted_fit_goes_on_from_its_checkpoint(device, tmp_path):
    X, given, true = make_rows(N)
    settings = {"n_warmup_epochs": 2, "n_cycles": 4, "checkpoint_dir": tmp_path, "random_state": 0}

    def stop(wheel, row):
        if row["cycle"] == 3 and not seen:
            seen.append(row)
            raise RuntimeError("the power went out")

    seen = []
    with pytest.raises(RuntimeError, match="power"):
        FlywheelClassifier(**settings, device=str(device), on_cycle=stop).fit(X, given)
    resumed = FlywheelClassifier(**settings, device=str(device), on_cycle=stop).fit(X, given)
    whole = FlywheelClassifier(**settings | {"checkpoint_dir": None}, device=str(device)).fit(X, given)
    check(resumed, X, true, device)
    np.testing.assert_allclose(resumed.label_quality_, whole.label_quality_, atol=1e-3 if device.type == "cuda" else 0)
