"""Quiet and few features: neighbours by one scale, by a scale for each feature, and by weights of a forest."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.auto import telling_features
from noisyflywheel.estimator.auto.defaults import choose_n_folds
from noisyflywheel.estimator.auto.telling_features import unseen, weigh_few_features, weigh_quiet_features
from noisyflywheel.noise import symmetric


def mixed(unit, n=300, seed=0):
    """Seventy columns of which twelve tell one of three classes, these in a unit of their own."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.normal(size=(n, 70))
    for j in range(12):
        x[:, j] += 2.5 * (y == j % 3)
    x[:, :12] *= unit
    return x.astype(np.float32), y


def test_neighbours_of_the_other_parts_by_hand(monkeypatch):
    """Two parts; the nearest row of the other part lends its label, a row's own does not count."""
    monkeypatch.setattr(telling_features, "N_PARTS", 2)
    monkeypatch.setattr("noisyflywheel.loop.with_folds.columns.NEIGHBOURS", 1)
    part = torch.randperm(4, generator=torch.Generator().manual_seed(0)) % 2
    first, second = (part == 0).nonzero().squeeze(1), (part == 1).nonzero().squeeze(1)
    x, given = torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64)
    x[first], x[second] = torch.tensor([[0.0], [10.0]]), torch.tensor([[1.0], [8.0]])
    given[first], given[second] = torch.tensor([0, 1]), torch.tensor([2, 0])
    prob = unseen(x, given)
    assert prob[first].argmax(1).tolist() == [2, 0] and prob[second].argmax(1).tolist() == [0, 1]


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.6])
def test_pixels_share_a_scale(rate):
    X, y = load_digits(return_X_y=True)
    found = weigh_quiet_features(torch.from_numpy(X).float(), torch.from_numpy(symmetric(y, rate, random_state=0)))
    assert found.z < 0 and found.chosen == "one scale"
    found = weigh_few_features(torch.from_numpy(X).float(), torch.from_numpy(symmetric(y, rate, random_state=0)))
    assert abs(found.z) < 3 and found.chosen == "all alike"


@pytest.mark.parametrize(("unit", "folds"), [(1.0, 1), (0.1, 5), (0.01, 5)])
def test_quiet_features_that_tell_have_folds(unit, folds, quick_folds):
    x, y = mixed(unit)
    given = torch.from_numpy(symmetric(y, 0.2, random_state=0))
    params = FlywheelClassifier().get_params(deep=False)
    found, decision = choose_n_folds(params, torch.from_numpy(x), len(x), given=given)
    assert found == folds and decision.chosen == str(folds)
    assert (decision.reason == "quiet features tell of the classes") == (folds == 5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_few_features_that_tell_have_folds(seed, quick_folds):
    """One of two hundred columns: simple classifiers may find the classes told apart, one net finds nothing."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 600)
    x = rng.normal(size=(600, 200)).astype(np.float32)
    x[:, 0] += 4 * y
    params = FlywheelClassifier().get_params(deep=False)
    given = torch.from_numpy(symmetric(y, 0.2, random_state=seed))
    found, decision = choose_n_folds(params, torch.from_numpy(x), len(x), given=given)
    assert found == 5 and decision.reason == "few features tell of the classes" and decision.candidate == "by a forest"


def test_rows_and_weights_of_neighbours(monkeypatch):
    """The forest of each part sees the rows outside it; of many rows some are asked."""
    seen = []

    def weights(x, given, sample_weight):
        seen.append(sample_weight)
        return torch.tensor([1.0, 0.0])

    monkeypatch.setattr(telling_features, "column_weights", weights)
    monkeypatch.setattr(telling_features, "WEIGHTED_ROWS", 50)
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.integers(0, 2, 80))
    x = torch.stack([y * 4.0, torch.from_numpy(rng.normal(size=80) * 40).float()], 1)
    found = weigh_few_features(x, y)
    assert found.n_rows == 50 and found.agreement == 1.0 > found.alternative_agreement
    assert torch.equal(torch.stack(seen).sum(0), torch.full((50,), 4.0)) and len(seen) == 5


def test_a_fit_sees_quiet_features(quick_folds):
    x, y = mixed(0.1)
    test, truth = mixed(0.1, 500, seed=1)
    clf = FlywheelClassifier(n_cycles=2, random_state=0).fit(x, symmetric(y, 0.2, random_state=0))
    assert clf.score(test, truth) > 0.95
