"""Data and a net that the tests of this folder share; enough rows for several chunks and steps."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from noisyflywheel.backbones import SmallResNet

NEEDED = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
CUDA = pytest.param("cuda", marks=NEEDED)
rarely_on_the_cpu = pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), CUDA], indirect=True
)
"""For tests that say something about a device with a memory of its own; on the CPU they compare it with itself."""

N_ROWS = 3_100
"""More than three chunks of 1,024 rows, and a last batch that is not full."""


def make_rows(n=N_ROWS, k=3):
    """Float rows (n, 4) of k classes that lie apart, given labels of which a fifth is wrong, and true labels."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    given = np.where(np.arange(n) % 5 == 0, (y + 1) % k, y)
    return (3 * np.eye(4)[y] + rng.normal(size=(n, 4))).astype(np.float32), given, y


def make_pictures(n=N_ROWS, side=8):
    """Pictures (n, 3, side, side) uint8 whose channel tells the class, given labels of which a fifth is wrong, true."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    X = rng.integers(0, 80, (n, 3, side, side)) + 120 * (y[:, None, None, None] == np.arange(3)[:, None, None])
    return X.astype(np.uint8), np.where(np.arange(n) % 5 == 0, (y + 1) % 3, y), y


def small_net(device, **params):
    """A net for pictures that a step of costs next to nothing."""
    settings = {"module__width": 8, "module__n_stages": 2, "batch_size": 256, "lr": 0.05, "optimizer__momentum": 0.9}
    return NeuralNetClassifier(
        SmallResNet,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        train_split=None,
        device=str(device),
        **settings | params,
    )
