"""Pictures narrower than the stride of a convolution, which bf16 on a CPU does not suit."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import SmallResNet
from noisyflywheel.nets import Trainer, check_forward, prepare_net
from noisyflywheel.nets.narrow import narrow_convolutions


@pytest.mark.parametrize(
    ("convolution", "shape", "n_found"),
    [
        (nn.Conv2d(1, 2, 3, 2, 1), (4, 1), 1),
        (nn.Conv2d(1, 2, 3, 2, 1), (4, 2), 0),
        (nn.Conv2d(1, 2, 3, 2, 1), (1, 4), 0),
        (nn.Conv2d(1, 2, 3, 3, 1), (4, 2), 1),
        (nn.Conv2d(1, 2, 3, (2, 1), 1), (4, 1), 0),
        (nn.Conv2d(1, 2, 1, 2), (4, 1), 0),
    ],
)
def test_which_convolutions_get_pictures_narrower_than_their_stride(convolution, shape, n_found):
    module, x = nn.Sequential(convolution), torch.zeros(2, 1, *shape)
    with narrow_convolutions(module) as found:
        module(x)
    assert found == n_found * [convolution]
    module(x)
    assert len(found) == n_found  # nobody listens any more


@pytest.mark.parametrize(("width", "amp"), [(1, False), (2, False), (4, True)])
def test_nets_that_halve_one_column_go_without_bf16(width, amp):
    net = NeuralNetClassifier(SmallResNet, criterion=nn.CrossEntropyLoss, train_split=None)
    trainer = Trainer(prepare_net(net, {"n_classes": 2, "in_channels": 1}, None, True), amp=True)
    check_forward(trainer, torch.zeros(2, 1, 8, width), 2, "main_net")
    assert trainer.amp is amp


@pytest.mark.parametrize("shape", [(8, 1), (1, 1)])
def test_pictures_of_one_column_are_fitted_and_predicted_alike_again(shape):
    X = np.random.default_rng(0).integers(256, size=(60, *shape), dtype=np.uint8)
    y = X[:, 0, 0] // 128
    first, second = (FlywheelClassifier(n_warmup_epochs=2, n_cycles=2, random_state=0).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
