"""Whether weights of columns are believed: by labels of rows that no forest and no neighbour has seen."""

import math

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.loop.with_folds import columns
from noisyflywheel.loop.with_folds.columns import BEYOND_DOUBT, LEAST_SHARE, of_neighbours, weigh_columns

FOLDS = 3


def folds(n):
    """Weights (M, n) of members that each leave out every third row, of three families that part rows differently."""
    number = torch.arange(n)
    parts = number.flip(0) % FOLDS, number // 2 % FOLDS, number % FOLDS
    weight = 0.5 + 0.5 * (number % 2)
    return torch.cat([torch.stack([(fold != m).float() * weight for m in range(FOLDS)]) for fold in parts])


def test_numbers():
    assert (columns.JUDGED_ROWS, columns.NEIGHBOURS) == (3_000, 15)
    assert (columns.BEYOND_DOUBT, columns.LEAST_SHARE) == (4.0, 0.05)


def rows(n_columns, n_telling, n=300, seed=0):
    """Two classes, told by the first columns."""
    rng = torch.Generator().manual_seed(seed)
    given = torch.arange(n).remainder(7).remainder(2)
    x = torch.randn(n, n_columns, generator=rng)
    x[:, :n_telling] += 1.2 * given[:, None] / math.sqrt(n_telling)
    return x, given


def test_weights_stay_where_they_help():
    x, given = rows(n_columns=120, n_telling=1, n=400)
    found, decision = weigh_columns(x, x, given, folds(len(x)), FOLDS)
    assert decision.decision == "weights of columns" and decision.chosen == "by a forest" and decision.share > 0.9
    assert decision.n_rows == len(x)
    assert decision.agreement > decision.alternative_agreement + 0.05
    assert found.shape == (9, 120) and (found[6:, 0] > 1.5 * found[6:, 1:].amax(1)).all()
    assert decision.z < BEYOND_DOUBT and (found[:6].std(1) < found[6:].std(1).min() / 2).all()


def test_weights_go_where_they_hurt(monkeypatch):
    """A forest that favours a column of chance."""
    x, given = rows(n_columns=6, n_telling=5)
    wrong = torch.tensor([0.1, 0.1, 0.1, 0.1, 0.1, 2.4])
    monkeypatch.setattr(columns, "column_weights", lambda *args: wrong)
    found, decision = weigh_columns(x, x, given, folds(len(x)), FOLDS)
    assert decision.chosen == "all alike" and decision.share < LEAST_SHARE
    assert torch.equal(found, torch.ones(9, 6))


@pytest.mark.parametrize(
    ("z", "first", "last"),
    [(-1.0, 0, 0), (0.0, 0, 0.15866), (2.0, 0, 0.84134), (3.0, 0.15866, 0.97725), (5.0, 0.84134, 0.99997)],
)
def test_the_first_family_follows_where_there_is_no_doubt(z, first, last, monkeypatch):
    x, given = rows(n_columns=2, n_telling=1, n=30)
    monkeypatch.setattr("noisyflywheel.loop.decisions.decide.sign_test", lambda *args: z)
    grown = []
    monkeypatch.setattr(columns, "column_weights", lambda *args: grown.append(args) or torch.tensor([0.5, 2.0]))
    found, _ = weigh_columns(x, x, given, folds(30), FOLDS)
    assert_close(found[:, 1].log2(), torch.tensor([float(first)] * 6 + [float(last)] * 3), atol=1e-4, rtol=0)
    assert len(grown) == (9 if first else 3)


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
    for own, (its_x, its_given, its_own) in zip(weights[[6, 7, 8, 0, 1, 2, 3, 4, 5]], grown, strict=True):
        assert its_x is x and its_given is given and its_own.equal(own)
    assert_close(found[:6, 1], torch.arange(4.0, 10))
    for member, own in enumerate(weights[6:]):
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
    assert found.shape == (9, 2) and torch.isfinite(found).all()
