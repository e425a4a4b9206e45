"""Both nets in one place, and a step where the device has no float64."""

from importlib import import_module

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP, mlp
from noisyflywheel.data import ArraySource
from noisyflywheel.nets import Batch, Trainer
from noisyflywheel.nets.devices import check_same_device, float32_on_cpu, net_device
from noisyflywheel.views import mixup


def net(device="cpu", module=nn.Linear):
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, device=device, callbacks="disable")


def test_the_device_of_a_net_is_its_own_or_that_of_its_weights():
    assert net_device(net("meta")) == torch.device("meta")
    assert net_device(net(None, nn.Linear(2, 2, device="meta"))) == torch.device("meta")
    assert net_device(net(None)) == net_device(net(None, nn.Flatten())) == torch.device("cpu")


def test_two_devices_are_refused_by_name():
    with pytest.raises(ValueError, match="main_net is on device 'cpu' and aux_net on 'meta': give both"):
        check_same_device(net("cpu"), net("meta"))
    with pytest.raises(ValueError, match="main_net is on device 'cuda:1' and aux_net on 'cuda:0'"):
        check_same_device(net("cuda:1"), net("cuda:0"))
    with pytest.raises(ValueError, match="aux_net on 'meta'"):
        check_same_device(net("cpu"), net(None, nn.Linear(2, 2, device="meta")))


def test_one_device_passes_whatever_it_is_called():
    check_same_device(net("cpu"), net(None))
    check_same_device(net("cuda"), net("cuda:0"))
    check_same_device(net("cuda:1"), net(torch.device("cuda", 1)))
    check_same_device(net("cpu"), net("meta"), override="cpu")


@pytest.fixture
def odd_defaults():
    """A device and a type for new tensors that no fit can do with."""
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)


def test_new_tensors_are_float32_on_the_cpu_and_the_callers_defaults_come_back(odd_defaults):
    with float32_on_cpu():
        inside = torch.zeros(1)
    outside = torch.zeros(1)
    assert (inside.dtype, inside.device.type) == (torch.float32, "cpu")
    assert (outside.dtype, outside.device.type) == (torch.float64, "meta")


def test_a_fit_and_what_it_predicts_do_not_follow_the_callers_defaults(odd_defaults, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, n_folds=1, random_state=0).fit(X, y)
    clf.save(tmp_path)
    proba = clf.predict_proba(X)
    assert np.array_equal(FlywheelClassifier.load(tmp_path).predict_proba(X), proba)
    assert np.array_equal(clf.predict(X), proba.argmax(1))


class NoFloat64(TorchDispatchMode):
    """Refuses float64 on CUDA, which stands for MPS here: torch has no fake MPS tensors."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.device.type == "cuda" and out.dtype == torch.float64:
            raise TypeError("the device has no float64")
        return out


@pytest.fixture
def mps(fake_cuda, monkeypatch):
    """A device that has shapes, types and places but no values, and refuses float64."""
    monkeypatch.setattr("noisyflywheel.data.devices.WITHOUT_FLOAT64", ("cuda",))
    monkeypatch.setattr("noisyflywheel.data.sources._fits", lambda x, device: True)
    with FakeTensorMode(allow_non_fake_inputs=True), NoFloat64():
        yield torch.device("cuda", 0)


def test_float64_is_refused(mps):
    with pytest.raises(TypeError, match="no float64"):
        torch.ones(2, device=mps).double()


def test_a_step_and_a_prediction_with_labels_on_the_host(mps, monkeypatch):
    trainer = Trainer(net(None, nn.Linear(4, 3, device=mps)).initialize())
    x, labels = torch.ones(6, 4, device=mps), torch.zeros(6, dtype=torch.long)
    weights, losses = torch.ones(6, dtype=torch.float64), []
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda loss: losses.append(loss)
    )  # fake tensors have no gradients on CUDA
    trainer._step(Batch(x, labels, lambda log_p: (F.nll_loss(log_p, labels, reduction="none") * weights).mean()))
    assert (trainer.device, losses[0].device.type, losses[0].dtype) == (mps, "cpu", torch.float64)
    log_p = torch.cat(list(trainer.predict_parts(ArraySource(x, mps), lambda x: x, torch.arange(6), 4)))
    assert (log_p.device.type, tuple(log_p.shape)) == ("cpu", (6, 3))


def test_rows_on_the_device_are_mixed_with_targets_on_the_host(mps, monkeypatch):
    monkeypatch.setattr(import_module("noisyflywheel.views.mixup"), "mixing_weight", lambda *args: 0.7)
    x, target = mixup(torch.ones(6, 4, device=mps), torch.ones(6, 3), 4.0, torch.Generator())
    assert (x.device.type, target.device.type) == ("cuda", "cpu")


def test_the_mlp_learns_its_scale_on_the_host(mps, monkeypatch):
    seen = []
    monkeypatch.setattr(mlp, "heavy_tails", lambda x: seen.append(x.double()) or 0.0)
    monkeypatch.setattr(mlp, "feature_scale", lambda x: seen.append(x.double()) or (x.mean(0), x.std(0)))
    with mps:
        MLP(4, 3).adapt(torch.ones(6, 4))
    assert [x.device.type for x in seen] == ["cpu", "cpu"]
