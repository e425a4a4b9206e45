"""One thread for small nets, and data that several tests share."""

import io
import os
import socket

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_iris

from noisyflywheel.noise import symmetric
from noisyflywheel.noise.maps import CIFAR10_CLASSES

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
        yield


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
def cifar10n(tmp_path_factory):
    """Path of 60 + 30 pictures whose brightness tells the class, as cifar10n.npz holds them."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 10
    files = []
    for label in y:
        grey = np.clip(24 * label + rng.normal(0, 8, (32, 32, 3)), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "JPEG", quality=75)
        files.append(buffer.getvalue())
    path = tmp_path_factory.mktemp("data") / "cifar10n.npz"
    worse = y[:60].copy()
    worse[::3] = (worse[::3] + 1) % 10
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
        y_clean=y[:60].astype(np.uint8),
        y_worse=worse.astype(np.uint8),
        y_test=y[60:].astype(np.uint8),
        class_names=np.array(CIFAR10_CLASSES),
    )
    return path
