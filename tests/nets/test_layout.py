"""Nets on pictures that take them channels last, and nets that do not."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import SmallResNet
from noisyflywheel.nets.layout import in_usual_order, is_channels_last, to_usual_order

DIGITS = load_digits()
GREY, LABELS = (15 * DIGITS.images[:60]).astype(np.uint8), DIGITS.target[:60] % 2
SHORT = {"n_warmup_epochs": 1, "n_cycles": 1, "random_state": 0}


class Viewing(nn.Module):
    """Convolutions and a flattening as in skorch's tutorial on MNIST."""

    def __init__(self, n_classes, in_channels):
        super().__init__()
        self.convs = nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3), nn.MaxPool2d(2))
        self.head = nn.Linear(32, n_classes)

    def forward(self, x):
        x = self.convs(x)
        return self.head(x.view(-1, x.size(1) * x.size(2) * x.size(3)))


class Linear(nn.Module):
    """Pixels flattened by ``view``, without any convolution."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x):
        return self.head(x.view(len(x), -1))


def net(module):
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, batch_size=16, train_split=None)


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_of_pictures_and_their_strides_are_in_the_usual_order(channels):
    x = torch.arange(2 * channels * 6.0).view(2, channels, 2, 3)
    turned = torch.empty_like(x, memory_format=torch.channels_last).copy_(x)
    assert torch.equal(in_usual_order(turned), x)
    assert in_usual_order(turned).stride() == x.stride() != turned.stride()


def test_weights_go_back_to_the_usual_order():
    module = SmallResNet(in_channels=1).to(memory_format=torch.channels_last).eval()
    before = copy.deepcopy(module)
    assert is_channels_last(module)
    to_usual_order(module)
    assert not is_channels_last(module)
    for now, then in zip(module.parameters(), before.parameters(), strict=True):
        assert torch.equal(now, then)
    x = torch.randn(2, 1, 8, 8)
    assert module.stem(x).stride() == (16 * 64, 64, 8, 1)
    torch.testing.assert_close(module(x), before(x))


@pytest.mark.parametrize(
    "module", [nn.Linear(2, 3), nn.Conv2d(1, 4, 3), nn.LazyConv2d(4, 3)], ids=["none", "grey", "lazy"]
)
def test_modules_whose_weights_do_not_tell_are_in_the_usual_order(module):
    assert not is_channels_last(module)


@pytest.mark.parametrize("views", ["auto", None])
@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1)], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("module", [Viewing, Linear])
def test_modules_that_flatten_by_view_fit_colour_pictures(module, axes, views):
    X = np.stack([GREY, GREY // 2, 255 - GREY], 1).transpose(axes)
    clf = FlywheelClassifier(net(module), views=views, contrastive_weight=0.1, **SHORT).fit(X, LABELS)
    assert np.isfinite(clf.predict_proba(X)).all()


def test_modules_that_flatten_by_view_are_saved_loaded_and_copied(tmp_path):
    user = net(Viewing)
    clf = FlywheelClassifier(user, **SHORT).fit(GREY, LABELS)
    clf.save(tmp_path / "grey")
    loaded = FlywheelClassifier.load(tmp_path / "grey", main_net=user)
    for other in (loaded, copy.deepcopy(clf)):
        np.testing.assert_array_equal(other.predict_proba(GREY), clf.predict_proba(GREY))


def test_modules_that_take_them_get_pictures_channels_last():
    clf = FlywheelClassifier(net(SmallResNet), **SHORT).fit(GREY, LABELS)
    assert is_channels_last(clf.main_net_.module_) and is_channels_last(clf.aux_net_.module_)
