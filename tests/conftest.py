"""One thread for small nets, and data that several tests share."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris

from noisyflywheel.noise import symmetric


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
