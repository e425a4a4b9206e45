"""Global random states of host and device are as before a fit; two fits with one seed agree."""

import numpy as np
import pytest
import torch
from made import make_rows

from noisyflywheel import FlywheelClassifier

pytestmark = pytest.mark.usefixtures("quick_folds")


def states(device):
    found = [torch.get_rng_state()]
    return [*found, torch.cuda.get_rng_state()] if device.type == "cuda" else found


def fit(device, seed=0, **params):
    X, given, _ = make_rows(400)
    settings = {"n_warmup_epochs": 1, "n_cycles": 1, "device": str(device), "random_state": seed}
    return FlywheelClassifier(**settings | params).fit(X, given)


def test_global_random_states_are_as_before(device):
    torch.manual_seed(5)
    if device.type == "cuda":
        torch.cuda.manual_seed(5)
    before, numpys = states(device), np.random.get_state()[1].copy()  # noqa: NPY002
    fit(device, contrastive_weight=0.1, mixup_alpha=1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, states(device), strict=True))
    assert np.array_equal(np.random.get_state()[1], numpys)  # noqa: NPY002


def test_one_seed_gives_one_result(device):
    a, b, other = fit(device), fit(device), fit(device, seed=1)
    np.testing.assert_allclose(a.label_quality_, b.label_quality_, atol=1e-4 if device.type == "cuda" else 0)
    assert np.abs(a.label_quality_ - other.label_quality_).max() > 1e-3
