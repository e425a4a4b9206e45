"""Memory of a fit does not grow with its cycles and is given back; a full device names the batch size."""

import gc

import numpy as np
import pytest
import torch
from made import make_pictures, make_rows, small_net
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.data import ArraySource

pytestmark = pytest.mark.usefixtures("quick_folds")


def held(device):
    """Bytes that tensors hold: on the device, or in the tensors that live."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.memory_allocated()
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in _tensors()}
    return sum(storages.values())


def _tensors():
    alive = [value for value in gc.get_objects() if type(value) in (torch.Tensor, nn.Parameter)]
    return [tensor for tensor in alive if tensor.layout == torch.strided]


@pytest.mark.parametrize("kind", ["rows", "pictures"])
def test_memory_does_not_grow_over_twenty_cycles(device, kind):
    X, given, _ = make_rows(500) if kind == "rows" else make_pictures(100)
    params = {"cr_ramp": 1, "n_folds": 2} if kind == "rows" else {"main_net": small_net(device), "average_epochs": 2.0}
    seen = {}

    def watch(flywheel, row):
        if row["cycle"] in (5, 20):
            seen[int(row["cycle"])] = held(device)

    settings = {"n_warmup_epochs": 1, "n_cycles": 20, "device": str(device), "random_state": 0, "on_cycle": watch}
    FlywheelClassifier(**settings | params).fit(X, given)
    assert seen[20] <= seen[5] * 1.01


def test_memory_is_given_back(device):
    X, given, _ = make_pictures(300)
    before = held(device)
    params = {"n_warmup_epochs": 1, "n_cycles": 1, "device": str(device), "random_state": 0}
    clf = FlywheelClassifier(small_net(device), **params).fit(X, given)
    assert held(device) > before
    del clf
    assert held(device) - before < 2**20 + (32 * 2**20 if device.type == "cuda" else 0)  # the libraries' workspace


class Hungry(nn.Module):
    """Asks for more memory than there is as soon as it trains."""

    def __init__(self, n_features=4, n_classes=3):
        super().__init__()
        self.line = nn.Linear(n_features, n_classes)

    def forward(self, x):
        if self.training:
            torch.empty(2**50, dtype=torch.uint8, device=x.device)
        return self.line(x).softmax(1)


def test_a_full_device_names_the_batch_size(device):
    X, given, _ = make_rows(400)
    net = NeuralNetClassifier(Hungry, batch_size=96, train_split=None, device=str(device))
    expected = torch.OutOfMemoryError if device.type == "cuda" else MemoryError
    with pytest.raises(expected, match="batch_size=96"):
        FlywheelClassifier(net, n_warmup_epochs=1, n_cycles=1).fit(X, given)


def test_pictures_stay_8_bit_on_the_device(device):
    X, _, _ = make_pictures(600)
    taken = ArraySource(torch.from_numpy(X), device).take(torch.arange(3))
    assert taken.dtype == torch.uint8
    assert taken.device.type == device.type
    assert np.array_equal(taken.cpu().numpy(), X[:3])
