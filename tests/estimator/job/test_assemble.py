"""What depends on the machine in the parts of a fit."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import MLP
from noisyflywheel.estimator.job.assemble import bf16_pays


class NoOperators:
    """`torch.ops.mkldnn` where torch was built without oneDNN, as for Apple silicon."""

    def __getattr__(self, name):
        raise AttributeError(f"'_OpNamespace' 'mkldnn' object has no attribute '{name}'")


def test_no_bf16_where_torch_has_no_onednn(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(torch.ops, "mkldnn", NoOperators())
    assert not bf16_pays(torch.device("cpu"))
    assert not bf16_pays(torch.device("mps"))


class InPlace:
    """Views that halve the rows they are given, in place."""

    def plain(self, x):
        return x.mul_(0.5)

    def weak(self, x):
        return self.plain(x)

    strong = weak


def test_both_nets_adapt_to_the_same_rows():
    x = np.random.default_rng(0).normal(1.0, size=(40, 3))
    net = NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, batch_size=20)
    clf = FlywheelClassifier(net, views=InPlace(), n_warmup_epochs=1, n_cycles=1).fit(x, np.arange(40) % 2)
    for fitted in (clf.main_net_, clf.aux_net_):
        np.testing.assert_allclose(fitted.module_.mean, x.mean(0) / 2, rtol=1e-5)
