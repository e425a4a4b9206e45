"""The warm-up of nets with folds: how long it may last, its rates, and which epoch was the best one."""

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.loop.with_folds import folded_warmup


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "epochs"),
    [
        (320, 32, 80),
        (100, 32, 100),
        (64, 64, 100),
        (3200, 32, 40),
        (30_000, 64, 40),
        (30_001, 64, 10),
        (10, -1, 80),
        (10, 64, 100),
    ],
)
def test_length_by_rows_and_batch(n_rows, batch_size, epochs):
    """800 steps, within 40 and 100 epochs, 10 at least for many rows."""
    assert folded_warmup.n_epochs_at_most(n_rows, batch_size) == epochs


def test_the_rate_rises_to_twice_the_nets_own():
    rates = [folded_warmup.rate_of(epoch) for epoch in range(9)]
    assert rates == pytest.approx([1, 7 / 6, 8 / 6, 9 / 6, 10 / 6, 11 / 6, 2, 2, 2])


def test_losses_by_hand():
    prob = torch.tensor([[[0.5, 0.5], [0.25, 0.75]], [[0.0, 1.0], [1.0, 0.0]]])
    log = torch.tensor([0.5, 0.25, 1e-6]).log()
    by_hand = [-(log[0] + log[1]) / 2, -log[2]]  # the second family is sure of the wrong class twice
    assert_close(torch.tensor(folded_warmup.losses_of_families(prob, torch.tensor([1, 0]))[0]), by_hand[0])
    assert_close(torch.tensor(folded_warmup.losses_of_families(prob, torch.tensor([0, 1]))[1]), by_hand[1])


def test_losses_are_means_over_two_epochs():
    records = [torch.tensor([[4.0, 1.0]]), torch.tensor([[2.0, 3.0]]), torch.tensor([[1.0, 5.0]])]
    assert_close(folded_warmup.smoothed(records), torch.tensor([[[4.0, 1.0]], [[3.0, 2.0]], [[1.5, 4.0]]]))
    assert folded_warmup.best_epochs(records).tolist() == [[2, 0]]


def test_epochs_learnt_by_hand():
    rates = [1 + 7 / 6 + 8 / 6 + 9 / 6, 1 + 7 / 6]  # of four and of two epochs
    assert folded_warmup.epochs_learnt(torch.tensor([3, 1])) == pytest.approx(sum(rates) / 2)
    assert folded_warmup.epochs_learnt(torch.tensor([0])) == 1


def test_it_is_over_after_eight_epochs_without_a_better_loss():
    assert not folded_warmup.is_over([])
    falling = [torch.full((2, 2), 5.0 - epoch) for epoch in range(4)]
    assert not folded_warmup.is_over(falling + [torch.full((2, 2), 9.0)] * 7)
    assert folded_warmup.is_over(falling + [torch.full((2, 2), 9.0)] * 8)
    one_still_falls = [torch.tensor([[9.0, 9.0], [9.0, 9.0 - epoch]]) for epoch in range(12)]
    assert not folded_warmup.is_over(one_still_falls)
