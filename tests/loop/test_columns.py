"""Whether weights of columns are believed: by labels of rows that no forest and no neighbour has seen."""

import math

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.loop import columns
from noisyflywheel.loop.columns import BEYOND_DOUBT, LEAST_SHARE, of_neighbours, weigh_columns

FOLDS = 3


def folds(n):
    """Weights (M, n) of members that each leave out every third row, of two families that part rows differently."""
    parts = torch.arange(n).flip(0) % FOLDS, torch.arange(n) % FOLDS
    return torch.cat([torch.stack([(fold != m).float() * 1.5 for m in range(FOLDS)]) for fold in parts])


def rows(n_columns, n_telling, n=300, seed=0):
    """Two classes, told by the first columns."""
    rng = torch.Generator().manual_seed(seed)
    given = torch.arange(n).remainder(7).remainder(2)
    x = torch.randn(n, n_columns, generator=rng)
    x[:, :n_telling] += 1.2 * given[:, None] / math.sqrt(n_telling)
    return x, given


def test_weights_stay_where_they_help():
    x, given = rows(n_columns=120, n_telling=1)
    found, decision = weigh_columns(x, x, given, folds(len(x)), FOLDS)
    assert decision.chosen == "by a forest" and decision.share > 0.9 and decision.n_rows == len(x)
    assert decision.agreement > decision.alternative_agreement + 0.05
    assert found.shape == (6, 120) and (found[3:, 0] > 1.5 * found[3:, 1:].amax(1)).all()
    assert decision.z < BEYOND_DOUBT and (found[:3].std(1) < found[3:].std(1) / 2).all()


def test_weights_go_where_they_hurt(monkeypatch):
    """A forest that favours a column of chance."""
    x, given = rows(n_columns=6, n_telling=5)
    wrong = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.1, 2.4])
    monkeypatch.setattr(columns, "column_weights", lambda *args: wrong)
    found, decision = weigh_columns(x, x, given, folds(len(x)), FOLDS)
    assert decision.chosen == "all alike" and decision.share < LEAST_SHARE
    assert torch.equal(found, torch.ones(6, 6))


@pytest.mark.parametrize(
    ("z", "first", "last"),
    [(-1.0, 0, 0), (0.0, 0, 0.15866), (2.0, 0, 0.84134), (3.0, 0.15866, 0.97725), (5.0, 0.84134, 0.99997)],
)
def test_the_first_family_follows_where_there_is_no_doubt(z, first, last, monkeypatch):
    x, given = rows(n_columns=2, n_telling=1, n=30)
    monkeypatch.setattr("noisyflywheel.loop.decide.sign_test", lambda *args: z)
    monkeypatch.setattr(columns, "column_weights", lambda *args: torch.tensor([0.5, 2.0]))
    found, _ = weigh_columns(x, x, given, folds(30), FOLDS)
    assert_close(found[:, 1].log2(), torch.tensor([float(first)] * 3 + [float(last)] * 3), atol=1e-4, rtol=0)


def test_a_member_is_judged_on_its_own_fold_and_by_its_own_weights(monkeypatch):
    x, given = rows(n_columns=2, n_telling=1, n=30)
    weights, asked, grown = folds(30), [], []

    def neighbours(unseen, seen, labels, n_classes):
        asked.append((unseen, seen, labels))
        return torch.zeros(len(unseen), n_classes)

    def forest(x, given, own):
        grown.append((x, given, own))
        return torch.tensor([2.0, len(grown)])

    monkeypatch.setattr(columns, "of_neighbours", neighbours)
    monkeypatch.setattr(columns, "column_weights", forest)
    monkeypatch.setattr(columns, "BEYOND_DOUBT", -9.0)
    scale = 3.0
    found, _ = weigh_columns(x, scale * x, given, weights, FOLDS)
    for own, (its_x, its_given, its_own) in zip(weights[[3, 4, 5, 0, 1, 2]], grown, strict=True):
        assert its_x is x and its_given is given and its_own.equal(own)
    assert_close(found[:3], torch.tensor([[2.0, 4], [2, 5], [2, 6]]))
    for member, own in enumerate(weights[3:]):
        factor = torch.tensor([2.0, member + 1.0])
        for (unseen, seen, labels), by in zip(asked[2 * member : 2 * member + 2], (factor, 1.0), strict=True):
            assert_close(unseen, scale * x[own == 0] * by)
            assert_close(seen, scale * x[own > 0] * by)
            assert_close(labels, given[own > 0])


def test_neighbours_by_hand(monkeypatch):
    monkeypatch.setattr(columns, "NEIGHBOURS", 3)
    seen, given = torch.tensor([[0.0], [1.0], [2.0], [10.0]]), torch.tensor([0, 1, 1, 2])
    found = of_neighbours(torch.tensor([[0.1], [9.0]]), seen, given, 4)
    assert_close(found, torch.tensor([[1 / 3, 2 / 3, 0, 0], [0, 2 / 3, 1 / 3, 0]]))
    assert_close(of_neighbours(torch.tensor([[0.1]]), seen[:2], given[:2], 2), torch.tensor([[0.5, 0.5]]))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_that_only_unseen_rows_have(n_classes):
    x, given = rows(n_columns=2, n_telling=1, n=30)
    given[0] = n_classes - 1
    found, _ = weigh_columns(x, x, given, folds(30), FOLDS)
    assert found.shape == (6, 2) and torch.isfinite(found).all()
