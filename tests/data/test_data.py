"""Sources of rows, image axes, batches and balanced draws."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from noisyflywheel.data import (
    ArraySource,
    DatasetSource,
    as_row,
    balanced_rows,
    batches,
    channels_first,
    to_tensor,
)

CPU = torch.device("cpu")


def test_array_source_gives_rows_without_copying_the_whole():
    x = torch.arange(12.0).reshape(6, 2)
    source = ArraySource(x, CPU)
    assert source.x.data_ptr() == x.data_ptr()
    assert len(source) == 6
    torch.testing.assert_close(source.take(torch.tensor([5, 0])), torch.tensor([[10.0, 11.0], [0.0, 1.0]]))


def test_rows_that_do_not_fit_on_the_device_are_gathered_in_host_memory(monkeypatch):
    x = torch.arange(24, dtype=torch.uint8).reshape(6, 2, 2)
    parts = [torch.tensor([5, 0, 0]), torch.tensor([2])]
    monkeypatch.setattr(ArraySource, "is_resident", False)
    source = ArraySource(x, CPU)
    assert [rows.tolist() for rows in source.stream(iter(parts))] == [x[part].tolist() for part in parts]
    assert list(source.stream([])) == []
    assert source.take(parts[0]).dtype == torch.uint8


@pytest.mark.parametrize("shape", [(5, 4), (5, 3, 8, 8), (5, 8, 8, 3), (5, 8, 8)])
def test_dataset_source_equals_array_source(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = channels_first(x)[[3, 1]]
    for items in (TensorDataset(x, torch.zeros(5)), list(x), list(x.numpy())):
        torch.testing.assert_close(DatasetSource(items, CPU).take(torch.tensor([3, 1])), expected)


@pytest.mark.parametrize("given", [torch.float64, torch.float16, torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("shape", [(3, 2), (3, 4, 4), (3, 1, 4, 4)])
def test_numbers_of_a_dataset_are_of_the_type_of_those_of_an_array(given, shape):
    x = torch.ones(shape, dtype=given)
    source, expected = DatasetSource(TensorDataset(x), CPU), to_tensor(x.numpy()).dtype
    expected = torch.float32 if x.ndim == 2 else expected  # only pictures of 8 bits stay small
    assert source.take(torch.tensor([1])).dtype == next(source.stream([torch.tensor([0, 2])])).dtype == expected


def test_as_row_leaves_the_graph_of_an_item_behind():
    assert not as_row((torch.ones(2, requires_grad=True) * 2, 1)).requires_grad


@pytest.mark.parametrize("mode", ["P", "PA"])
def test_as_row_takes_colours_and_not_their_places_in_a_palette(mode):
    picture = Image.new("P", (2, 2), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    assert torch.equal(as_row((picture.convert(mode), 1)), torch.tensor([200, 100, 50]).byte().expand(2, 2, 3))


def test_as_row_takes_the_first_part():
    row = torch.ones(2)
    assert as_row((row, 1)) is row
    assert as_row([row]) is row
    assert as_row(np.float64(3)).shape == ()
    assert as_row(np.array([1.5, 2.0], ">f4")).tolist() == [1.5, 2.0]  # of another machine


@pytest.mark.parametrize(
    ("given", "expected", "shares"),
    [
        (np.float32, torch.float32, True),
        (np.uint8, torch.uint8, True),
        (np.float64, torch.float32, False),
        (np.int64, torch.float32, False),
        (np.bool_, torch.float32, False),
    ],
)
def test_to_tensor_types_and_copies(given, expected, shares):
    x = np.ones((3, 2), dtype=given)
    tensor = to_tensor(x)
    assert tensor.dtype == expected
    assert np.shares_memory(tensor.numpy(), x) == shares


def test_to_tensor_takes_read_only_and_reversed_memory():
    x = np.arange(6, dtype=np.float32)
    x.setflags(write=False)
    torch.testing.assert_close(to_tensor(x), torch.arange(6.0))
    torch.testing.assert_close(to_tensor(x[::-1]), torch.arange(5.0, -1.0, -1.0))
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    torch.testing.assert_close(to_tensor(rows[::-1][:1]), torch.tensor([[4.0, 5.0]]))
    packed = np.array([(1, 2.5)], dtype=[("a", "u1"), ("x", "f4")])
    torch.testing.assert_close(to_tensor(packed["x"]), torch.tensor([2.5]))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((7, 8, 9), (7, 1, 8, 9)),
        ((7, 8, 9, 3), (7, 3, 8, 9)),
        ((7, 3, 8, 9), (7, 3, 8, 9)),
        ((7, 1, 8, 4), (7, 1, 8, 4)),  # where both could be, that which makes pictures more square
        ((7, 1, 8, 1), (7, 1, 1, 8)),  # the last axis where they are as square
        ((7, 5), (7, 5)),
    ],
)
def test_channels_first_shapes(shape, expected):
    x = torch.zeros(shape)
    moved = channels_first(x)
    assert tuple(moved.shape) == expected
    assert moved.data_ptr() == x.data_ptr()


def test_channels_first_refuses_other_axes():
    with pytest.raises(ValueError, match=r"\(7, 5, 8, 9\) is not a batch of images"):
        channels_first(torch.zeros(7, 5, 8, 9))


@pytest.mark.parametrize(
    ("n", "size", "lengths"),
    [
        (10, 4, [4, 4, 2]),
        (9, 4, [4, 5]),  # a last batch of one row joins the one before
        (1, 4, [1]),
        (5, 1, [2, 3]),  # BatchNorm cannot train on single rows
        (5, -1, [5]),
        (3, 100, [3]),
    ],
)
def test_batch_lengths(n, size, lengths):
    chunks = list(batches(torch.arange(n), size))
    assert [len(c) for c in chunks] == lengths
    assert torch.equal(torch.cat(chunks), torch.arange(n))


def test_shuffled_batches_hold_every_row_once_and_follow_the_generator():
    rows = torch.arange(10, 60)
    first = torch.cat(list(batches(rows, 8, torch.Generator().manual_seed(0))))
    again = torch.cat(list(batches(rows, 8, torch.Generator().manual_seed(0))))
    assert torch.equal(first, again)
    assert not torch.equal(first, rows)
    assert torch.equal(first.sort().values, rows)


@pytest.mark.parametrize("size", [2, 3, 6, 7, 30])
def test_balanced_rows_share_the_classes(size):
    given = torch.tensor([0] * 20 + [1] * 3 + [3] * 5)  # class 2 is empty
    rows = balanced_rows(given, 4, size, torch.Generator().manual_seed(0))
    counts = torch.bincount(given[rows], minlength=4)
    assert len(rows) == size
    assert int(counts[2]) == 0
    present = counts[[0, 1, 3]]
    assert int(present.max() - present.min()) <= 1


def test_balanced_rows_repeat_small_classes_only():
    given = torch.tensor([0] * 20 + [1] * 2)
    rows = balanced_rows(given, 2, 10, torch.Generator().manual_seed(0))
    large = rows[given[rows] == 0]
    assert len(large.unique()) == 5
    assert set(rows[given[rows] == 1].tolist()) == {20, 21}
