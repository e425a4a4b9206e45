"""Which rank has which rows of a batch: order of several views, MixUp inside shares, what goes through the net."""

import torch
from torch.testing import assert_close

from noisyflywheel.nets.parallel import Ranks
from noisyflywheel.nets.parallel.shares import WHOLE, Split
from noisyflywheel.views.mixup import mixup

TARGET = torch.eye(5)
BATCH = torch.arange(5.0)[:, None]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_order_of_several_views_of_each_row():
    index, split = torch.tensor([5, 3, 8, 1, 2]), Split([3, 2], 1)
    assert split.in_copies(index, 2).tolist() == [5, 3, 8, 5, 3, 8, 1, 2, 1, 2]
    assert split.times(2).sizes == [6, 4] and split.times(2).rank == 1
    assert WHOLE.in_copies(index, 2).tolist() == [5, 3, 8, 1, 2] * 2 and WHOLE.times(2) is WHOLE


def test_a_whole_batch_is_shared_out_and_a_share_is_a_ranks_own():
    ranks = Ranks()
    ranks.rank, ranks.size = 1, 2
    x, sizes = WHOLE.own(BATCH, ranks)
    assert x.flatten().tolist() == [3, 4] and sizes == [3, 2]
    x, sizes = Split([3, 2], 1).own(BATCH[3:], ranks)
    assert x.flatten().tolist() == [3, 4] and sizes == [3, 2]


def test_mixup_alone_is_that_of_the_whole_batch():
    x, target = WHOLE.mixed(BATCH, TARGET, 1.0, generator(3))
    expected = mixup(BATCH, TARGET, 1.0, generator(3))
    assert_close(x, expected[0])
    assert_close(target, expected[1])


def test_without_mixup_nothing_is_drawn():
    for shares in (WHOLE, Split([3, 2], 0)):
        order = generator()
        before = order.get_state()
        x, target = shares.mixed(BATCH[:3], TARGET, 0.0, order)
        assert torch.equal(x, BATCH[:3]) and torch.equal(target, TARGET)
        assert torch.equal(before, order.get_state())


def test_mixup_stays_inside_each_ranks_share_and_all_ranks_have_all_targets():
    parts = BATCH.split([3, 2])
    mixed = [Split([3, 2], rank).mixed(parts[rank], TARGET, 1.0, generator()) for rank in (0, 1)]
    order = generator()
    expected = [mixup(part, target, 1.0, order) for part, target in zip(parts, TARGET.split([3, 2]), strict=True)]
    targets = torch.cat([target for _, target in expected])
    for rank in (0, 1):
        assert_close(mixed[rank][0], expected[rank][0])
        assert_close(mixed[rank][1], targets)
    assert targets[:3, 3:].sum() == 0 and targets[3:, :3].sum() == 0
    assert (targets[:3, :3].diag() < 1).any()  # something was mixed


def test_the_row_of_an_empty_share_is_not_mixed():
    x, target = Split([1, 1, 0], 2).mixed(BATCH[:1], TARGET[:2], 1.0, generator())
    assert torch.equal(x, BATCH[:1]) and torch.equal(target, TARGET[:2])  # a share of one row mixes with itself
