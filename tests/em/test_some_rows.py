"""Which rows stand for all of them."""

import torch

from noisyflywheel.em.some_rows import some_rows

CPU = torch.device("cpu")


def test_all_rows_where_they_are_few():
    assert some_rows(5, CPU, most=5).tolist() == [0, 1, 2, 3, 4]


def test_as_many_as_asked_for_in_order_and_always_the_same():
    rows = some_rows(1000, CPU, most=100)
    assert len(rows) == 100 and (rows.diff() > 0).all() and rows[0] >= 0 and rows[-1] < 1000
    assert torch.equal(rows, some_rows(1000, CPU, most=100))


def test_classes_that_take_turns_keep_their_shares():
    labels = some_rows(100_000, CPU) % 10
    assert (labels.bincount() / len(labels) - 0.1).abs().max() < 0.01
