"""What a loader does for one rank of several: shares of rows that are read, views of their own, MixUp inside shares."""

from types import SimpleNamespace

import pytest
import torch
from tables import G_PROB, ROWS, K, N, Neighbours, X, numbered, read_loader, table_trainer
from torch.testing import assert_close

from noisyflywheel.data import ArraySource
from noisyflywheel.loop import loader as module
from noisyflywheel.loop.folds import Folds
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.nets.parallel.shares import WHOLE, Split
from noisyflywheel.views.adapter import ViewAdapter

CPU = torch.device("cpu")


class Drawn(Neighbours):
    """Views that add a draw for each row to its number."""

    def weak(self, x, generator):
        return x + torch.rand(x.shape, generator=generator) / 2

    def strong(self, x, generator):
        return x + torch.rand(x.shape, generator=generator) / 4


def held_rows(rank=0, size=2, views=None, seed=0):
    """A loader of rows in memory."""
    return ViewLoader(ArraySource(X, CPU), ViewAdapter(views, X), seed, numbered(rank, size))


def test_rows_that_are_read_are_shared_and_rows_in_memory_are_not():
    assert read_loader().shares_reading and not held_rows().shares_reading
    assert not read_loader(size=1).shares_reading and not held_rows(size=1).shares_reading


def test_each_rank_sees_views_of_its_share_of_the_same_batches():
    first, second = (list(made.batches(ROWS, 4, made.plain)) for made in (read_loader(0), read_loader(1)))
    held = held_rows()
    alone = list(held.batches(ROWS, 4, held.plain))
    for (index, x), (same, y), (expected, _) in zip(first, second, alone, strict=True):
        assert torch.equal(index, expected) and torch.equal(same, expected)
        assert len(x) - len(y) in (0, 1)
        assert_close(torch.cat([x, y]).flatten(), index.float())


def test_a_rank_without_a_share_sees_one_row():
    made = read_loader(2, 3)
    ((index, x),) = made.batches(ROWS[:2], 4, made.plain)
    assert len(index) == 2 and x.flatten().tolist() == [float(index[0])]


def test_every_row_in_memory_is_seen_by_all_ranks_with_the_same_views():
    (first,), (second,) = (
        list(made.batches(ROWS, N, made.weak)) for made in (held_rows(0, 2, Drawn()), held_rows(1, 2, Drawn()))
    )
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1]) and len(first[1]) == N


def draws(made, view):
    """By how much the view moved each row of the rank's share in one pass."""
    ((index, seen),) = made.batches(ROWS, N, getattr(made, view))
    return seen.flatten() - made.ranks.take(index)


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_views_of_rows_that_are_read_follow_the_rank_the_pass_and_the_seed(view):
    made = read_loader(0, 2, Drawn())
    first, later = draws(made, view), draws(made, view)
    again = read_loader(0, 2, Drawn())
    assert_close(draws(again, view), first)
    assert_close(draws(again, view), later)
    assert not torch.allclose(first, later)
    assert not torch.allclose(draws(read_loader(1, 2, Drawn()), view), first)
    assert not torch.allclose(draws(read_loader(0, 2, Drawn(), seed=1), view), first)


@pytest.mark.parametrize("seed", range(6))
def test_a_passs_views_are_seeded_by_the_common_draw_and_the_ranks_number(seed):
    for rank in (0, 1):
        common = int(torch.randint(2**31, (), generator=torch.Generator().manual_seed(seed)))
        own = torch.Generator().manual_seed(common + rank)
        assert_close(draws(read_loader(rank, 2, Drawn(), seed=seed), "weak"), torch.rand(5, generator=own) / 2)


@pytest.mark.parametrize(("view", "share"), [("weak", 2), ("strong", 4)])
def test_views_of_rows_in_memory_are_drawn_by_the_common_generator(view, share):
    drawn = torch.rand(N, 1, generator=torch.Generator().manual_seed(3)) / share
    ((index, seen),) = (made := held_rows(views=Drawn(), seed=3)).batches(ROWS, N, getattr(made, view))
    assert_close(seen, index[:, None] + drawn)


def test_ranks_keep_the_same_generators():
    saved = []
    for rank in (0, 1):
        made = read_loader(rank, 2, Drawn())
        draws(made, "weak")
        saved.append(made.state_dict())
    assert torch.equal(saved[0]["order"], saved[1]["order"]) and torch.equal(saved[0]["augment"], saved[1]["augment"])
    untouched = read_loader(0, 2, Drawn()).state_dict()
    assert not torch.equal(saved[0]["augment"], untouched["augment"])


def test_rows_in_memory_leave_the_generator_of_views_to_the_views():
    made = held_rows()
    before = made.state_dict()["augment"]
    list(made.batches(ROWS, N, made.plain))
    assert torch.equal(before, made.state_dict()["augment"])


def test_batches_are_split_where_rows_are_read():
    shares = read_loader(1).shares(5)
    assert isinstance(shares, Split) and shares.sizes == [3, 2] and shares.rank == 1
    assert held_rows().shares(5) is WHOLE is read_loader(size=1).shares(5)


class Members:
    """A trainer whose members predict their number; it notes how many rows of each it is asked for at a time."""

    def predict_apart(self, source, view, own, size, kept):
        self.size, self.kept = size, kept
        members = torch.arange(2.0 * len(own) if kept else float(len(own)))
        return members[:, None, None].expand(-1, own.shape[1], K).log()


FOLDS = Folds(torch.tensor([[0, 1] * 5, [1] * 5 + [0] * 5]), 2)


def test_each_row_is_predicted_by_the_members_that_leave_it_out():
    expected = torch.stack([torch.tensor([0.0, 1.0] * 5), torch.tensor([3.0] * 5 + [2.0] * 5)])[..., None].expand(
        -1, -1, K
    )
    trainer = Members()
    assert_close(held_rows().predict_unseen(trainer, FOLDS), expected)
    assert not trainer.kept
    assert_close(held_rows().predict_unseen(trainer, FOLDS, kept=True), torch.cat([expected, expected + 4]))
    assert trainer.kept


@pytest.mark.parametrize(
    ("most_rows", "numbers", "size"), [(1024, 8192, 1024), (1024, 120, 30), (3, 8192, 3), (9, 1, 1)]
)
def test_members_are_asked_for_as_many_rows_as_views_may_hold(monkeypatch, most_rows, numbers, size):
    monkeypatch.setattr(module, "MOST_ROWS", most_rows)
    monkeypatch.setattr(module, "VIEW_NUMBERS", numbers)
    trainer = Members()
    held_rows().predict_unseen(trainer, FOLDS)
    assert trainer.size == size  # four members of one number a row


def test_predictions_of_views_are_seeded_anew_each_time_and_of_plain_rows_are_not():
    trainer, made = table_trainer(G_PROB), read_loader(0, 2)
    before = made.state_dict()["augment"]
    assert_close(made.predict(trainer, ROWS).exp(), G_PROB)
    assert torch.equal(before, made.state_dict()["augment"])
    made.predict(trainer, ROWS, made.plain)
    assert not torch.equal(before, made.state_dict()["augment"])


class Asked:
    """A trainer of a net of batches of four that notes how it is asked for predictions: filled up, by all ranks."""

    net, scheduled, device = SimpleNamespace(batch_size=4), False, CPU

    def predict_parts(self, source, view, rows, size, padded, everywhere):
        self.asked = padded, everywhere
        return iter(G_PROB[rows].log().split(size))


@pytest.mark.parametrize(
    ("made", "plain", "of_views"),
    [
        (held_rows(), (True, False), (False, True)),  # all ranks draw the same views
        (read_loader(), (True, False), (False, False)),
        (held_rows(size=1), (True, False), (False, True)),
    ],
    ids=["in memory", "read", "alone"],
)
def test_which_rank_sees_which_views_of_a_prediction(made, plain, of_views):
    trainer = Asked()
    for view, expected in ((None, plain), (made.weak, of_views)):
        parts = list(made.predict_parts(trainer, ROWS, view))
        assert trainer.asked == expected
        assert [at.tolist() for at, _ in parts] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
