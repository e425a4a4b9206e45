"""Neighbours as a judge of labels beside one net."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch.testing import assert_close

from noisyflywheel import FlywheelClassifier
from noisyflywheel.loop import neighbours
from noisyflywheel.loop.closing import ranked_with
from noisyflywheel.loop.neighbours import n_neighbours, said_by_neighbours
from noisyflywheel.noise import symmetric


@pytest.mark.parametrize(
    ("n", "k"), [(2, 1), (5, 4), (6, 5), (200, 5), (1_000, 10), (10_000, 32), (25_000, 50), (10**6, 50)]
)
def test_they_are_the_root_of_a_tenth_of_the_rows(n, k):
    assert n_neighbours(n) == k


def test_by_hand():
    """Six rows on a line: each is judged by the five others, whatever its own refurbished label."""
    x = torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0], [50.0]])
    refurbished = torch.tensor([[1.0, 0.0], [0.8, 0.2], [0.6, 0.4], [0.4, 0.6], [0.2, 0.8], [0.0, 1.0]])
    given = torch.tensor([0, 0, 0, 1, 1, 1])
    own = refurbished.gather(1, given[:, None]).squeeze(1)
    total = torch.stack([refurbished[:, k].sum() for k in given])
    assert_close(said_by_neighbours(x, refurbished, given, torch.arange(6)), (total - own) / 5)


def test_rows_that_take_no_part_are_not_asked():
    """The two rows at 0 and 1 ask those at 2, 3 and 50 only, also for the scale."""
    x = torch.tensor([[0.0], [1.0], [2.0], [3.0], [50.0]])
    refurbished = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.6, 0.4], [0.4, 0.6], [0.2, 0.8]])
    among = torch.tensor([2, 3, 4])  # each asks at most two
    said = said_by_neighbours(x, refurbished, torch.zeros(5, dtype=torch.int64), among)
    assert_close(said, torch.tensor([0.5, 0.5, 0.3, 0.4, 0.5]))


@pytest.mark.parametrize("block", [7, 1024])
def test_the_nearest_are_those_of_scikit_learn(monkeypatch, block):
    monkeypatch.setattr(neighbours, "BLOCK", block)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4)) * [1, 1, 1, 1e6]  # features that share no unit have a scale each
    refurbished = rng.dirichlet(np.ones(3), 300)
    given = rng.integers(0, 3, 300)
    found = said_by_neighbours(*map(torch.from_numpy, (X.astype(np.float32), refurbished, given)), torch.arange(300))
    Z = (X - X.mean(0)) / X.std(0)
    nearest = NearestNeighbors(n_neighbors=6).fit(Z).kneighbors(Z, return_distance=False)[:, 1:]  # 5, and itself
    expected = refurbished[nearest, given[:, None]].mean(1)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_features_that_share_a_unit_have_one_scale():
    """The second feature is quiet: on a scale of its own it would decide which rows are near."""
    rng = np.random.default_rng(1)
    X = np.stack([np.repeat([0.0, 10.0], 100) + rng.normal(size=200), 0.5 * rng.normal(size=200)], 1)
    refurbished = np.eye(2)[np.repeat([0, 1], 100)]
    given = torch.zeros(200, dtype=torch.int64)
    said = said_by_neighbours(torch.from_numpy(X).float(), torch.from_numpy(refurbished), given, torch.arange(200))
    assert_close(said, torch.from_numpy(refurbished[:, 0]).float())


def fit(**params):
    X, y = load_digits(return_X_y=True)
    y = y[:300]
    given = symmetric(y, 0.4, random_state=0)
    clf = FlywheelClassifier(n_folds=1, n_cycles=3, n_warmup_epochs=5, random_state=0, **params)
    return clf.fit(X[:300], given), X[:300], y, given


def test_a_fit_with_one_net_asks_them(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "noisyflywheel.loop.flywheel.ranked_with", lambda *args: asked.append(args) or ranked_with(*args)
    )
    clf, X, y, given = fit()
    ((quality, said, k),) = asked
    rows, codes = torch.from_numpy(X).float(), torch.from_numpy(given)
    expected = said_by_neighbours(rows, torch.from_numpy(clf.refurbished_proba_), codes, torch.arange(300))
    assert_close(said, expected, atol=1e-5, rtol=0)
    np.testing.assert_allclose(clf.label_quality_, ranked_with(quality, said, k), rtol=1e-6)
    alone, together = (roc_auc_score(given == y, score) for score in (quality.numpy(), clf.label_quality_))
    assert together > alone


@pytest.mark.parametrize("params", [{"calibrate": False}, {"refurbish": False}])
def test_who_asks_for_the_form_of_the_paper_has_none(monkeypatch, params):
    monkeypatch.setattr("noisyflywheel.loop.flywheel.ranked_with", None)
    fit(**params)


@pytest.mark.parametrize("bound", ["MOST_ROWS", "MOST_NUMBERS"])
def test_of_many_rows_they_are_not_asked(monkeypatch, bound):
    monkeypatch.setattr("noisyflywheel.loop.flywheel.ranked_with", None)
    monkeypatch.setattr(f"noisyflywheel.loop.parts.{bound}", 299)
    fit()


def test_pictures_are_not_compared_pixel_by_pixel(monkeypatch):
    monkeypatch.setattr("noisyflywheel.loop.flywheel.ranked_with", None)
    X, y = load_digits(return_X_y=True)
    FlywheelClassifier(n_cycles=1, n_warmup_epochs=1, random_state=0).fit(X[:60].reshape(-1, 8, 8), y[:60])
