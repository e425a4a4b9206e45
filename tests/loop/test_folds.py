"""Folds balanced over the labels, and means over the members that have not seen a row."""

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.loop.folds import Folds, draw_folds

GIVEN = torch.tensor([0, 1, 2] * 5)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_folds_hold_as_many_of_each_class_as_can_be():
    fold = draw_folds(GIVEN, 5, generator())
    for part in range(5):
        assert torch.bincount(GIVEN[fold == part], minlength=3).tolist() == [1, 1, 1]
    uneven = torch.bincount(draw_folds(GIVEN[:13], 5, generator()), minlength=5)
    assert sorted(uneven.tolist()) == [2, 2, 3, 3, 3]


def test_folds_are_drawn_by_the_generator():
    drawn = [draw_folds(GIVEN, 5, generator(seed)).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    starts = {
        tuple(torch.bincount(draw_folds(GIVEN[:13], 5, generator(seed)), minlength=5).tolist()) for seed in range(20)
    }
    assert len(starts) == 5  # the larger folds are not always the first ones


ROWS = torch.tensor([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 14])
"""Without rows 4 and 13."""


@pytest.fixture
def folds():
    return Folds.draw(GIVEN, ROWS, 4, 2, generator())


def own_rows(folds, member):
    return folds.own[member][folds.counts[member] > 0]


def test_every_row_is_left_out_once_in_each_family(folds):
    assert folds.own.shape == folds.counts.shape == (8, 4) and folds.counts.dtype == torch.float64
    for members in (range(4), range(4, 8)):
        assert sorted(torch.cat([own_rows(folds, member) for member in members]).tolist()) == ROWS.tolist()
    assert not torch.equal(folds.trains[:4], folds.trains[4:])  # the families are drawn apart


def test_a_member_trains_on_all_other_rows_with_weights_of_mean_1(folds):
    assert folds.trains.shape == (8, 15)
    for member in range(8):
        expected = torch.zeros(15)
        expected[ROWS] = 4 / 3
        expected[own_rows(folds, member)] = 0
        assert_close(folds.trains[member], expected)
    for family in (folds.trains[:4], folds.trains[4:]):
        assert_close(family.mean(0)[ROWS], torch.ones(13))


def test_shorter_folds_are_filled_up_with_their_own_rows(folds):
    short = [member for member in range(8) if folds.counts[member].sum() < 4]
    assert short
    for member in range(8):
        n = int(folds.counts[member].sum())
        assert folds.counts[member].tolist() == [1.0] * n + [0.0] * (4 - n)
        assert folds.own[member].tolist() == [folds.own[member][i % n] for i in range(4)]


def test_predictions_of_own_folds_are_put_where_their_rows_are(folds):
    """A member predicts the number of the row, plus 100 times its own."""
    member = torch.arange(8)[:, None] * 100
    prob = torch.stack([folds.own + member, folds.own * 0 + 1], 2).float()
    found = folds.mean_by_row(prob, 15)
    assert found.shape == (2, 15, 2) and found.dtype == torch.float32
    for family in range(2):
        for row in range(15):
            if row in ROWS:
                left_out = next(m for m in range(4 * family, 4 * family + 4) if row in own_rows(folds, m))
                assert found[family, row].tolist() == [row + 100 * left_out, 1]
            else:
                assert found[family, row].tolist() == [0, 0]


def test_means_keep_the_precision_of_the_predictions(folds):
    assert folds.mean_by_row(torch.zeros(8, 4, 3, dtype=torch.float64), 15).dtype == torch.float64


def test_folds_are_made_where_the_labels_are():
    folds = Folds.draw(GIVEN, ROWS, 4, 2, generator())
    assert folds.trains.device == folds.own.device == GIVEN.device


def test_thinned_folds_leave_the_rows_where_they_were(folds):
    rows = ROWS[:3]  # fewer than there are folds
    thinned = folds.thinned(rows)
    assert (thinned.counts.sum(1) == 0).any()
    assert torch.equal(thinned.fold[:, rows], folds.fold[:, rows])
    for members in (range(4), range(4, 8)):
        assert sorted(torch.cat([own_rows(thinned, member) for member in members]).tolist()) == rows.tolist()
