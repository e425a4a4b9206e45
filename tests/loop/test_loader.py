"""Batches of views and predictions, on rows that are their numbers."""

import pytest
import torch
from tables import G_PROB, ROWS, K, N, Neighbours, X, loader, table_trainer
from torch.testing import assert_close

from noisyflywheel.data import ArraySource
from noisyflywheel.loop import loader as module
from noisyflywheel.loop.loader import ViewLoader, predict_plain, prediction_batch
from noisyflywheel.views.adapter import ViewAdapter


def test_batches_hold_every_row_once_with_its_views():
    made = loader(Neighbours())
    parts = list(made.batches(ROWS[1:], 4, made.plain, made.weak, made.strong))
    assert [len(index) for index, *_ in parts] == [4, 5]  # one row alone would join the batch before
    for index, *views in parts:
        for shift, view in enumerate(views):
            assert_close(view, ((index + shift) % N).float()[:, None])
    assert sorted(torch.cat([index for index, *_ in parts]).tolist()) == list(range(1, N))


def test_a_view_may_change_the_rows_that_it_is_given():
    made = loader()
    ((index, *views),) = made.batches(ROWS, N, made.plain, lambda x: x.add_(1), lambda x: x.add_(2))
    for shift, view in enumerate(views):
        assert_close(view, (index + shift).float()[:, None])


def orders(made, n=2):
    return [torch.cat([index for index, _ in made.batches(ROWS, 4, made.plain)]).tolist() for _ in range(n)]


def test_the_order_follows_the_seed_and_changes_from_epoch_to_epoch():
    first, second = orders(loader(seed=1))
    assert first != second and [first, second] == orders(loader(seed=1)) != orders(loader(seed=2))


def test_both_generators_come_back():
    made = loader(seed=1)
    saved = made.state_dict()
    first = orders(made), torch.rand(2, generator=made.augment)
    made.load_state_dict(saved)
    again = orders(made), torch.rand(2, generator=made.augment)
    assert first[0] == again[0] and torch.equal(first[1], again[1])


def sizes_of_view_calls(monkeypatch, batch_size, most_rows=1024, numbers=module.VIEW_NUMBERS):
    monkeypatch.setattr(module, "MOST_ROWS", most_rows)
    monkeypatch.setattr(module, "VIEW_NUMBERS", numbers)
    made, seen = loader(), []

    def view(x):
        seen.append(len(x))
        return x

    list(made.batches(ROWS, batch_size, view))
    return seen


def test_views_of_several_batches_are_made_in_one_call(monkeypatch):
    assert sizes_of_view_calls(monkeypatch, 2) == [10]
    assert sizes_of_view_calls(monkeypatch, 2, most_rows=5) == [4, 4, 2]  # two batches at a time
    assert sizes_of_view_calls(monkeypatch, 2, numbers=6) == [6, 4]
    assert sizes_of_view_calls(monkeypatch, 4, most_rows=3) == [4, 4, 2]  # a batch is never cut
    assert sizes_of_view_calls(monkeypatch, 4, most_rows=5) == [4, 4, 2]  # the first batch counts, not the last


def test_rows_of_many_numbers_are_viewed_fewer_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "VIEW_NUMBERS", 48)
    made, seen = loader(x=torch.zeros(10, 3, 2, 2)), []
    list(made.batches(ROWS, 2, lambda x: seen.append(len(x)) or x))
    assert seen == [4, 4, 2]  # four rows of twelve numbers
    assert made.row_numbers == 12 and not made.vectors and loader().vectors and loader().row_numbers == 1


def test_predictions_are_of_the_rows_asked_for_in_their_order():
    rows = torch.tensor([7, 0, 3])
    trainer, made = table_trainer(G_PROB), loader(Neighbours())
    assert_close(made.predict(trainer, rows).exp(), G_PROB[rows])
    assert_close(made.predict(trainer, rows, made.weak).exp(), G_PROB[rows + 1])
    assert_close(predict_plain(trainer, made.source, made.plain).exp(), G_PROB)


def forwards(trainer):
    seen = []
    original = trainer.forward
    trainer.forward = lambda x: seen.append(tuple(x.shape)) or original(x)
    return seen


def test_vectors_as_they_are_fill_every_forward_and_views_do_not():
    trainer, made = table_trainer(G_PROB, batch_size=4), loader(Neighbours())
    seen = forwards(trainer)
    made.predict(trainer, ROWS)
    assert seen == [(4, 1)] * 3  # the last one is filled up
    seen.clear()
    made.predict(trainer, ROWS, made.weak)
    assert seen == [(4, 1), (4, 1), (2, 1)]
    seen.clear()
    predict_plain(trainer, made.source, made.plain)
    assert seen == [(4, 1)] * 3


class OneOutput(torch.nn.Module):
    """The same logits for every picture."""

    def forward(self, x):
        return x.new_zeros(len(x), K)


def test_pictures_are_never_filled_up():
    trainer = table_trainer(G_PROB, batch_size=4)
    trainer.net.module_ = OneOutput()
    pictures = torch.zeros(10, 3, 2, 2)
    seen = forwards(trainer)
    loader(x=pictures).predict(trainer, ROWS)
    assert [len(shape) and shape[0] for shape in seen] == [4, 4, 2]
    seen.clear()
    predict_plain(trainer, ArraySource(pictures, torch.device("cpu")), lambda x: x)
    assert [shape[0] for shape in seen] == [4, 4, 2]


def test_large_pictures_are_predicted_fewer_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "VIEW_NUMBERS", 96)
    trainer = table_trainer(G_PROB, batch_size=2, scheduled=True)
    trainer.net.module_ = OneOutput()
    seen = forwards(trainer)
    predict_plain(trainer, ArraySource(torch.zeros(10, 3, 2, 2), torch.device("cpu")), lambda x: x)
    assert [shape[0] for shape in seen] == [4, 4, 2]  # four rows of twelve numbers


@pytest.mark.parametrize(
    ("own", "scheduled", "numbers", "expected"),
    [
        (16, False, 1, 16),  # a user's net
        (-1, False, 64, 512),
        (64, True, 64, 512),
        (64, True, 3 * 32 * 32, 512),
        (64, True, 3 * 64 * 64, 128),
        (64, True, 3 * 512 * 512, 64),
        (1, False, 1, 1),
        (-1, False, 2_000_000, 1),
    ],
)
def test_rows_of_one_forward(own, scheduled, numbers, expected):
    assert prediction_batch(table_trainer(G_PROB, batch_size=own, scheduled=scheduled), numbers) == expected


@pytest.mark.parametrize(("own", "numbers", "expected"), [(16, 1, 64), (256, 64, 512), (32, 3 * 224 * 224, 32)])
def test_a_gpu_is_given_more_rows_than_a_training_step(own, numbers, expected):
    trainer = table_trainer(G_PROB, batch_size=own, scheduled=False)
    trainer.device = torch.device("cuda")
    assert prediction_batch(trainer, numbers) == expected


def test_views_draw_from_a_generator_of_their_own_where_they_want_it():
    class Meta(Neighbours):
        generator_device = "cpu"

        def weak(self, x, generator):
            return x + torch.rand(1, generator=generator)

    made = ViewLoader(ArraySource(X, torch.device("cpu")), ViewAdapter(Meta(), X), 5)
    expected = X + torch.rand(1, generator=torch.Generator().manual_seed(5))
    assert_close(made.weak(X), expected)
    assert torch.equal(torch.randperm(5, generator=made.order), torch.randperm(5, generator=loader(seed=5).order))


def test_views_go_on_from_the_state_of_another_kind_of_device():
    """The generator of a CUDA device has a state of 16 bytes: other noise is drawn next, the same each time."""
    made, drawn = loader(), []
    for state in (torch.arange(16, dtype=torch.uint8), torch.arange(16, dtype=torch.uint8), torch.zeros(16).byte()):
        made.load_state_dict(made.state_dict() | {"augment": state})
        drawn.append(torch.rand(3, generator=made.augment).tolist())
    assert drawn[0] == drawn[1] != drawn[2]
