"""Masked arrays: what is masked is missing."""

import numpy as np
import pytest

from noisyflywheel.data import without_mask

MASK = [False, True, False]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_masked_numbers_are_nan(dtype):
    values = np.array([1, 0, 1], dtype=dtype)
    plain = without_mask(np.ma.array(values, mask=MASK))
    assert type(plain) is np.ndarray and plain.dtype.kind == "f" and np.isnan(plain).tolist() == MASK
    assert plain[[0, 2]].tolist() == [1.0, 1.0] and values.tolist() == [1, 0, 1]
    assert np.dtype(dtype).kind != "f" or plain.dtype == dtype


@pytest.mark.parametrize("values", [["a", "b", "c"], np.array(["2020-01-01"] * 3, dtype="datetime64[D]")])
def test_anything_else_that_is_masked_is_none(values):
    plain = without_mask(np.ma.array(values, mask=MASK))
    assert [cell is None for cell in plain] == MASK


def test_without_a_masked_cell_nothing_is_copied():
    values = np.arange(3, dtype=np.uint8)
    assert np.shares_memory(without_mask(np.ma.array(values)), values)
    assert without_mask(np.ma.array(values, mask=[False] * 3)).dtype == np.uint8
    assert without_mask(values) is values
