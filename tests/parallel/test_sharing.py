"""What ranks share of a step and of a prediction: shares of rows, gathered rows and gradients, BatchNorm, turns."""

import copy

import pytest
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from thread_ranks import on_ranks
from torch import nn
from torch.testing import assert_close

from noisyflywheel.nets import Trainer
from noisyflywheel.nets.parallel import Ranks
from noisyflywheel.nets.parallel.gradients import gather, stack
from noisyflywheel.nets.parallel.norms import Synced
from noisyflywheel.nets.parallel.turns import Turns
from noisyflywheel.nets.stopping import StopTraining

ROWS = torch.tensor([[1.0, -2.0], [3.0, 0.5], [-1.0, 2.0], [0.0, 4.0], [2.5, 1.0]])


def test_shares_are_consecutive_and_differ_by_one_row_at_most():
    shares = on_ranks(3, lambda ranks: (ranks.sizes(5), ranks.take(ROWS)))
    assert [sizes for sizes, _ in shares] == [[2, 2, 1]] * 3
    assert_close(torch.cat([share for _, share in shares]), ROWS)


def test_an_empty_share_is_filled_up_by_a_row_that_does_not_count():
    found = on_ranks(3, lambda ranks: gather(ranks.take(ROWS[:2]), ranks, ranks.sizes(2)))
    assert all(torch.equal(rows, ROWS[:2]) for rows in found)


def test_the_mean_over_ranks_of_gradients_through_gathered_rows_is_that_of_the_whole_batch():
    def task(ranks):
        weight = torch.tensor([0.5, -1.0], requires_grad=True)
        rows = gather(ranks.take(ROWS) * weight, ranks, ranks.sizes(len(ROWS)))
        (rows.prod(1).sum() + rows[0, 0] * rows[4, 1]).backward()  # of rows of two ranks
        return weight.grad

    # d/dw1: w2 sum(x1 x2) + w2 x1[0] x2[4], d/dw2 the same with w1; sum(x1 x2) = -2 + 1.5 - 2 + 0 + 2.5 = 0
    expected = torch.tensor([-1.0 * (0.0 + 1.0), 0.5 * (0.0 + 1.0)])
    for size in (1, 2, 3):
        assert_close(torch.stack(on_ranks(size, task)).mean(0), expected)


@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_begin", "on_epoch_end"])
def test_a_callback_that_stops_one_rank_stops_all_at_the_same_place(event):
    def stop(self, net, **kwargs):
        raise KeyboardInterrupt

    def task(ranks):
        stops = type("Stops", (Callback,), {event: stop} if ranks.rank == 1 else {})()
        made = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0, "callbacks": [("stops", stops)]}
        trainer = Trainer(NeuralNetClassifier(nn.Linear(2, 2), **made).initialize(), ranks=ranks)
        with pytest.raises(StopTraining, match=f"stops of a net stopped the training in {event}"):
            trainer.begin()
            trainer.epoch(())
        return len(trainer.net.history)

    assert on_ranks(3, task) == [event != "on_train_begin"] * 3


def test_members_are_gathered_along_their_rows():
    members = torch.arange(24.0).reshape(2, 4, 3)  # (M, B, K)

    def task(ranks):
        own = members.split(ranks.sizes(4), 1)[ranks.rank]
        return gather(own, ranks, ranks.sizes(4), dim=-2)

    assert all(torch.equal(found, members) for found in on_ranks(3, task))


def test_each_rank_gets_the_gradient_of_all_from_what_was_stacked():
    def task(ranks):
        value = torch.tensor([1.0 + ranks.rank], requires_grad=True)
        (stack(value, ranks).squeeze(1) * torch.tensor([1.0, 10.0]) * (1 + ranks.rank)).sum().backward()
        return value.grad.item()

    assert on_ranks(2, task) == [1.0 * (1 + 2), 10.0 * (1 + 2)]


NORMS = [
    (nn.BatchNorm1d(2), (7, 2)),
    (nn.BatchNorm1d(2, momentum=None), (7, 2)),
    (nn.BatchNorm1d(2, affine=False, eps=0.1), (5, 2, 3)),
    (nn.BatchNorm2d(2, momentum=0.3), (3, 2, 4, 4)),
    (nn.BatchNorm2d(2, track_running_stats=False), (1, 2, 4, 4)),
    (nn.BatchNorm3d(2), (2, 2, 2, 2, 2)),
]


@pytest.mark.parametrize(("norm", "shape"), NORMS, ids=str)
@pytest.mark.parametrize("size", [2, 3])
def test_batch_norm_over_ranks_is_that_of_the_whole_batch(norm, shape, size):
    torch.manual_seed(0)
    batches, weights = torch.randn(2, *shape) * 3 + 100, torch.randn(shape)

    def forwards(norm, x, w):
        """Values, gradients of rows and weights, and buffers, after two batches."""
        outputs = [norm(part) for part in x]
        (outputs[1] * w + outputs[1] ** 3 * w).sum().backward()
        return outputs[1], x.grad[1], [p.grad for p in norm.parameters()], dict(norm.named_buffers())

    whole = forwards(copy.deepcopy(norm), batches.clone().requires_grad_(), weights)

    def task(ranks):
        own = copy.deepcopy(norm)
        x = torch.stack([ranks.take(batch) for batch in batches]).requires_grad_()
        counts = ranks.sizes(len(weights))[ranks.rank] > 0
        synced = Synced(own, ranks)
        synced.counts, synced.n_rows = counts, len(weights)
        with synced.on():
            return forwards(own, x, ranks.take(weights) * counts), counts

    found = [result for result, counts in on_ranks(size, task) if counts]
    close = {"rtol": 2e-4, "atol": 2e-4}
    assert_close(torch.cat([result[0] for result in found]), whole[0], **close)
    assert_close(torch.cat([result[1] for result in found]), whole[1], **close)
    assert_close([sum(parts) for parts in zip(*(result[2] for result in found), strict=True)], whole[2], **close)
    for result in found:
        assert_close(result[3], whole[3], **close)


def test_norms_are_as_before_afterwards_and_in_eval_mode():
    norm, x = nn.BatchNorm1d(2), torch.randn(4, 2)

    def task(ranks):
        own = copy.deepcopy(norm).eval()
        with Synced(own, ranks).on():
            found = own(x)
        return found, "forward" in vars(own)

    assert all(torch.equal(found, norm.eval()(x)) and not patched for found, patched in on_ranks(2, task))


def test_lazy_norms_are_synchronised_from_their_first_forward_on():
    def task(ranks):
        norm = nn.LazyBatchNorm1d()
        synced = Synced(norm, ranks)
        norm.eval()(ROWS[:1])
        synced.n_rows = 4
        with synced.on():
            norm.train()(ranks.take(ROWS[:4]))
        return norm.running_mean

    assert_close(on_ranks(2, task), [0.1 * ROWS[:4].mean(0)] * 2)


def test_one_value_a_channel_cannot_be_normalised():
    def task(ranks):
        norm = nn.BatchNorm1d(2)
        synced = Synced(norm, ranks)
        synced.counts, synced.n_rows = ranks.rank == 0, 1
        with synced.on():
            norm(ROWS[:1])

    with pytest.raises(ValueError, match="more than 1 value per channel"):
        on_ranks(2, task)


@pytest.mark.parametrize("n_batches", [1, 2, 5])
@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_ranks_take_turns_and_all_get_all_batches_in_order(monkeypatch, n_batches, at_once):
    monkeypatch.setattr("noisyflywheel.nets.parallel.turns.ROWS_AT_ONCE", at_once)
    batches = torch.arange(2 * n_batches - 1).split(2)

    def task(ranks):
        turns = Turns([len(batch) for batch in batches], ranks)
        found = list(turns.in_order(batches[i][:, None] * 10 for i in turns.own))
        return torch.cat(found).flatten().tolist(), [len(part) for part in found], len(turns.own)

    found = on_ranks(2, task)
    assert [rows for rows, *_ in found] == [[10 * i for i in range(2 * n_batches - 1)]] * 2
    assert all(sizes == [len(batch) for batch in batches] for _, sizes, _ in found)
    assert sum(n for *_, n in found) in (n_batches, n_batches + 1)  # the last one may be predicted by both


def test_alone_nothing_is_shared():
    ranks = Ranks()
    assert ranks.alone and ranks.everyones(3) == [3] and ranks.of_first(lambda: 4) == 4 and ranks.any(True)
    ranks.check_same(X=1)
    assert ranks.take(ROWS) is not None and ranks.sizes(5) == [5]
    ranks.leave()
