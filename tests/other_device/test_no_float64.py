"""Fits on a device that has no float64, as the GPU of Apple silicon (MPS)."""

import numpy as np
import pytest
import torch
from device_tensor import STATE

from noisyflywheel import FlywheelClassifier

pytestmark = pytest.mark.usefixtures("quick_folds", "stand_in", "no_float64")

N = 48
given = np.arange(N) % 3
X = (3 * np.eye(4)[given] + np.random.default_rng(0).normal(size=(N, 4))).astype(np.float32)


@pytest.fixture
def no_float64(monkeypatch):
    monkeypatch.setattr(STATE, "has_float64", False)
    monkeypatch.setattr("noisyflywheel.data.devices.WITHOUT_FLOAT64", ("cuda",))  # stands for MPS


def test_float64_is_refused():
    with pytest.raises(TypeError, match="no float64"):
        torch.ones(2, device="cuda").double()


@pytest.mark.parametrize("n_folds", [1, 2])
def test_a_fit_with_one_net_and_with_folds(n_folds):
    clf = FlywheelClassifier(n_folds=n_folds, n_warmup_epochs=1, n_cycles=1, device="cuda", random_state=0)
    weights = np.linspace(0.5, 2, N)
    assert clf.fit(X, given, sample_weight=weights).predict_proba(X).dtype == np.float64
