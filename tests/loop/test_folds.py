"""Folds of the rows: who trains on what, and predictions put back in their places."""

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.loop.folds import Folds, draw_folds


def generator():
    return torch.Generator().manual_seed(0)


def test_folds_have_as_many_of_each_class_as_can_be():
    given = torch.tensor([0] * 10 + [1] * 5)
    fold = draw_folds(given, 5, generator())
    assert torch.bincount(fold[:10]).tolist() == [2] * 5 and torch.bincount(fold[10:]).tolist() == [1] * 5


@pytest.mark.parametrize("n", [10, 11, 13])
def test_each_row_is_left_out_by_one_member_of_each_family(n):
    folds = Folds.draw(torch.arange(n) % 2, torch.arange(n), 3, 2, generator())
    assert folds.trains.shape == (6, n)
    for family in (folds.trains[:3], folds.trains[3:]):
        assert ((family == 0).sum(0) == 1).all()
        assert_close(family.mean(0), torch.ones(n))  # 0 once, 3/2 twice
    for member in range(6):
        left_out = set(folds.own[member].tolist())
        assert left_out == set((folds.trains[member] == 0).nonzero().flatten().tolist())


def test_families_have_folds_of_their_own():
    folds = Folds.draw(torch.arange(60) % 2, torch.arange(60), 3, 2, generator())
    assert not torch.equal(folds.trains[:3], folds.trains[3:])


def test_predictions_go_back_to_their_rows():
    folds = Folds.draw(torch.arange(11) % 2, torch.arange(11), 3, 2, generator())
    prob = folds.own[..., None].double() + torch.tensor([0.0, 100.0]).double()  # each row's own number
    found = folds.mean_by_row(prob, 11)
    assert_close(found, torch.stack([torch.arange(11), 100 + torch.arange(11)], 1).double().expand(2, 11, 2))


def test_rows_that_take_no_part_are_in_no_fold():
    rows = torch.tensor([0, 2, 4, 6, 8, 10])
    folds = Folds.draw(torch.arange(12) % 3, rows, 3, 1, generator())
    assert set(folds.own.flatten().tolist()) == set(rows.tolist())
    assert not folds.trains[:, 1::2].any()
