"""The first forward of a net on pictures: bf16 and channels last where its module takes them."""

import numpy as np
import pytest
import torch
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import InputShapeSetter
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.nets import Trainer, check_forward, prepare_net
from noisyflywheel.nets.check import check_own_weights
from noisyflywheel.nets.layout import is_channels_last


class Convolved(nn.Module):
    """Means of convolutions and a linear head."""

    def __init__(self, n_classes, in_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4, 3)
        self.head = nn.Linear(4, n_classes)

    def forward(self, x):
        return self.head(self.pooled(self.conv(x)))

    def pooled(self, x):
        return x.mean((2, 3))


class Summed(Convolved):
    """Adds to a float32 tensor of its own, which cannot hold bf16."""

    def pooled(self, x):
        return torch.zeros(len(x), 4).index_add(0, torch.arange(len(x)), super().pooled(x))


class Listed(Convolved):
    """Goes through numpy, which has no bf16: a TypeError."""

    def pooled(self, x):
        return super().pooled(x) + float(x.detach().numpy().mean())


class Viewing(Convolved):
    """Does not take pictures channels last."""

    def pooled(self, x):
        return super().pooled(x.view(len(x), -1).view(x.shape))


class ViewingSummed(Summed):
    """Takes neither."""

    def pooled(self, x):
        return super().pooled(x.view(len(x), -1).view(x.shape))


def net(module):
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, batch_size=16, train_split=None)


@pytest.mark.parametrize(
    ("module", "amp", "last"),
    [
        (Convolved, True, True),
        (Summed, False, True),
        (Listed, False, True),
        (Viewing, True, False),
        (ViewingSummed, False, False),
    ],
)
def test_modules_run_as_fast_as_they_can(module, amp, last):
    trainer = Trainer(prepare_net(net(module), {"n_classes": 2, "in_channels": 3}, None, True), amp=True)
    before = [weight.clone() for weight in trainer.net.module_.parameters()]
    check_forward(trainer, torch.rand(2, 3, 8, 8), 2, "main_net")
    assert (trainer.amp, is_channels_last(trainer.net.module_)) == (amp, last)
    assert all(map(torch.equal, trainer.net.module_.parameters(), before))


def test_what_no_way_helps_is_an_error():
    trainer = Trainer(prepare_net(net(Convolved), {"n_classes": 2, "in_channels": 3}, None, True), amp=True)
    with pytest.raises(ValueError, match=r"main_net cannot take rows of shape \(1, 8, 8\).*to have 3 channels"):
        check_forward(trainer, torch.rand(2, 1, 8, 8), 2, "main_net")


class Likely(Convolved):
    """Gives probabilities."""

    def forward(self, x):
        return torch.softmax(super().forward(x), 1)


class LogLikely(Likely):
    def forward(self, x):
        return super().forward(x).log()


@pytest.mark.parametrize(
    ("kind", "module", "kwargs"),
    [
        (NeuralNetClassifier, Likely, {"criterion": nn.NLLLoss}),
        (NeuralNet, LogLikely, {"criterion": nn.NLLLoss}),
        (NeuralNetClassifier, Likely, {"criterion": nn.CrossEntropyLoss, "predict_nonlinearity": None}),
    ],
)
def test_probabilities_are_not_made_in_bf16(kind, module, kwargs):
    mine = kind(module, batch_size=16, train_split=None, **kwargs)
    for seed in range(20):
        torch.manual_seed(seed)
        trainer = Trainer(prepare_net(mine, {"n_classes": 9, "in_channels": 3}, None, True), amp=True)
        check_forward(trainer, 100 * torch.rand(2, 3, 8, 8), 9, "main_net")
        assert (trainer.amp, is_channels_last(trainer.net.module_)) == (False, True)


@pytest.mark.parametrize("module", [Summed, Listed])
def test_modules_that_do_not_run_in_bf16_are_fitted_and_predict(module, monkeypatch):
    monkeypatch.setattr("noisyflywheel.estimator.job.assemble.bf16_pays", lambda device: True)
    X = np.random.default_rng(0).integers(256, size=(40, 8, 8, 3), dtype=np.uint8)
    clf = FlywheelClassifier(net(module), n_warmup_epochs=1, n_cycles=1, random_state=0).fit(X, np.arange(40) % 2)
    assert clf.predict(X).shape == (40,)


@pytest.mark.parametrize("callback", [InputShapeSetter(), ("mine", InputShapeSetter(input_dim_fn=lambda X: 2))])
def test_callbacks_that_set_the_width_of_a_module_are_named(callback):
    label = callback[0] if isinstance(callback, tuple) else "InputShapeSetter"
    mine = net(nn.Linear).set_params(module__in_features=2, module__out_features=2, callbacks=[callback])
    with pytest.raises(ValueError, match=rf"main_net has the callback {label} \(InputShapeSetter\), but X is None"):
        FlywheelClassifier(mine, n_warmup_epochs=1, n_cycles=1).fit(np.eye(2)[[0, 1] * 20], [0, 1] * 20)


def linears(main, aux):
    """Initialised nets of these modules, or of what makes them."""
    return [prepare_net(net(module), {}, None, False) for module in (main, aux)]


def test_weights_that_both_nets_train_are_refused():
    module = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"main_net and aux_net train the same weights \(0.weight\).*a new one"):
        check_own_weights(*linears(lambda: module, lambda: module))
    with pytest.raises(ValueError, match="main_net and aux_net train the same weights"):
        one = net(lambda: module)
        FlywheelClassifier(one, n_warmup_epochs=1, n_cycles=1).fit(np.eye(2)[[0, 1] * 20], [0, 1] * 20)


def test_copies_and_frozen_weights_in_common_pass():
    module = nn.Linear(2, 2)
    check_own_weights(*linears(module, module))
    module.requires_grad_(False)
    check_own_weights(*linears(lambda: nn.Sequential(module, nn.Linear(2, 2)), lambda: nn.Sequential(module)))
