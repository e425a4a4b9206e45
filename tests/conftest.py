"""One thread for small nets, and data that several tests share."""

import os
import socket
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from torch._subclasses.fake_tensor import FakeTensorMode

with warnings.catch_warnings():  # skorch imports packages that it can use where they are there, and they may warn
    warnings.simplefilter("ignore")
    import skorch  # noqa: F401

from noisyflywheel.estimator.auto.defaults import AUTO_FOLDS
from noisyflywheel.noise import symmetric

NOWHERE = "http://127.0.0.1:9"
"""A proxy that is not there: what the tests' child processes would go through."""


@pytest.fixture(autouse=True, scope="session")
def _no_network():
    """Connections to other machines fail, here and, as far as they ask the environment, in child processes."""
    connect = socket.socket.connect

    def refuse(self, address):
        local = self.family == socket.AF_UNIX or str(address[0]) in ("127.0.0.1", "::1", "localhost")
        if not local:
            raise ConnectionRefusedError(f"a test reached for the network: {address}")
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.setitem(os.environ, name, NOWHERE)
        patch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
        patch.setitem(os.environ, "OMP_NUM_THREADS", "1")  # child processes, which share the cores with the workers
        yield


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def fake_cuda():
    """Skip where torch needs a driver for fake tensors on CUDA too, as early versions do."""
    try:
        with FakeTensorMode():
            torch.empty(1, device="cuda").uniform_()
    except RuntimeError as error:
        pytest.skip(f"no fake tensors on CUDA: {str(error).splitlines()[0]}")


@contextmanager
def few_steps():
    """With folds T is learnt in five EM steps, not sixty, and columns are weighed by five trees, not two hundred.

    Forests beside the warm-up have three trees, not fifty. Whether features tell the classes apart is asked of fifty.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("noisyflywheel.em.likely.N_STEPS", 5)
        patch.setattr("noisyflywheel.backbones.importance.N_TREES", 5)
        patch.setattr("noisyflywheel.backbones.trees.N_TREES", 3)
        patch.setattr("noisyflywheel.estimator.auto.separability.N_TREES", 50)
        yield


@pytest.fixture
def quick_folds():
    """Fits of a hundred rows with folds in a third of their time.

    For tests of what does not depend on T or on how columns are weighed.
    """
    with few_steps():
        yield


@pytest.fixture(scope="module")
def quick_folds_of_module():
    """As `quick_folds`, for a whole module, whose fixtures fit too."""
    with few_steps():
        yield


@pytest.fixture
def short_fits(monkeypatch, quick_folds):
    """Default nets on tables warm up for three epochs at most and then have two cycles.

    For tests of what does not depend on how well they do.
    """
    monkeypatch.setattr("noisyflywheel.loop.with_folds.folded_warmup.MOST_EPOCHS", 3)
    monkeypatch.setitem(AUTO_FOLDS, "n_cycles", 2)


@pytest.fixture(scope="session")
def iris():
    """Iris with 20 % wrong labels: X (150, 4), given and true labels (150,)."""
    X, y = load_iris(return_X_y=True)
    return X, symmetric(y, 0.2, random_state=0), y


@pytest.fixture(scope="session")
def digits():
    """600 digits with 30 % wrong labels: X (600, 64), given and true labels (600,)."""
    X, y = load_digits(return_X_y=True)
    return X[:600], symmetric(y[:600], 0.3, random_state=0), y[:600]


@pytest.fixture(scope="session")
def pictures():
    """60 pictures (60, 12, 12, 3) uint8 of three classes told apart by their colour, and labels."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.integers(0, 60, (60, 12, 12, 3), dtype=np.uint8)
    X[np.arange(60), :, :, y] += 150
    return X, y


@pytest.fixture(scope="session")
def grey_cifar():
    """90 pictures (90, 32, 32, 3) uint8 whose brightness tells the class of ten, and labels (90,)."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 10
    grey = 24 * y[:, None, None, None] + rng.normal(0, 8, (90, 32, 32, 3))
    return np.clip(grey, 0, 255).astype(np.uint8), y


@pytest.fixture(scope="session")
def worse_labels(grey_cifar):
    """Given labels (60,) of the first 60 of these pictures; every third is wrong."""
    worse = grey_cifar[1][:60].copy()
    worse[::3] = (worse[::3] + 1) % 10
    return worse
