"""Class counts: those of `torch.bincount`, by hand and with weights."""

import torch

from noisyflywheel.em.counts import class_counts


def test_rows_of_each_class():
    assert class_counts(torch.tensor([2, 0, 2, 2]), 4).tolist() == [1, 0, 3, 0]


def test_weights_of_each_class():
    found = class_counts(torch.tensor([1, 0, 1]), 2, torch.tensor([0.5, 2.0, 0.25], dtype=torch.float64))
    assert found.dtype == torch.float64
    assert found.tolist() == [2.0, 0.75]


def test_no_rows():
    assert class_counts(torch.empty(0, dtype=torch.int64), 2).tolist() == [0, 0]
