"""Columns that float32 cannot hold: what is centred, and what is left to the last bit."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

from noisyflywheel.data import centring
from noisyflywheel.data.centring import learn_centring, to_float32

RNG = np.random.default_rng(0)
SECONDS = 1_700_000_000 + RNG.uniform(0, 3600, 500)  # one hour: a float32 has steps of 128 s there


def test_timestamps_are_centred_by_hand():
    x = np.array([[1e9, 1.0], [1e9 + 2.0, 3.0], [1e9 + 4.0, 8.0]])
    offset, scale = learn_centring(x)
    np.testing.assert_array_equal(offset, [1e9 + 2, 0])
    np.testing.assert_allclose(scale, [np.sqrt(8 / 3), 1])
    expected = np.array([[-np.sqrt(1.5), 1], [0, 3], [np.sqrt(1.5), 8]])
    np.testing.assert_allclose(to_float32(x, (offset, scale)), expected, rtol=1e-6)
    assert len(np.unique(x.astype(np.float32)[:, 0])) == 1  # what was lost


@pytest.mark.parametrize("factor", [1.0, 1e9])
def test_integers_of_64_bits_are_centred_too(factor):
    x = (SECONDS * factor).astype(np.int64)[:, None]
    rounded = to_float32(x, learn_centring(x))
    np.testing.assert_allclose(rounded[:, 0], (SECONDS - SECONDS.mean()) / SECONDS.std(), atol=2e-3)


def test_values_too_small_for_float32_are_scaled():
    x = RNG.normal(size=(50, 1)) * 1e-60
    assert (x.astype(np.float32) == 0).all()
    np.testing.assert_allclose(to_float32(x, learn_centring(x)).std(), 1, rtol=1e-6)


@pytest.mark.parametrize("load", [load_digits, load_iris, load_breast_cancer])
def test_real_tables_are_left_alone(load):
    assert learn_centring(load(return_X_y=True)[0]) is None


def test_only_columns_that_lose_digits_are_touched():
    x = np.c_[RNG.normal(size=500), SECONDS, np.full(500, 0.1), np.full(500, 1e9) + 1e-7 * RNG.integers(2, size=500)]
    offset, scale = learn_centring(x)
    assert list(offset != 0) == list(scale != 1) == [False, True, False, False]
    np.testing.assert_array_equal(to_float32(x, (offset, scale))[:, [0, 2, 3]], x.astype(np.float32)[:, [0, 2, 3]])


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.uint8, np.int16, np.bool_])
def test_types_that_float32_holds_need_nothing(kind):
    assert learn_centring(np.ones((3, 2), kind)) is None


def test_float32_is_not_copied():
    x = np.ones((3, 2), np.float32)
    assert to_float32(x) is x
    assert to_float32(np.ones((3, 2), np.uint8)).dtype == np.float32


def test_values_beyond_float32_are_no_reason_to_centre():
    x = RNG.normal(size=(50, 1))
    x[3] = 1e39
    assert learn_centring(x) is None
    assert np.isinf(to_float32(x)[3])


def test_blocks_give_the_same(monkeypatch):
    x = np.c_[SECONDS, RNG.normal(size=500)]
    whole = learn_centring(x)
    monkeypatch.setattr(centring, "NUMBERS", 14)
    blocks = learn_centring(x)
    np.testing.assert_allclose(blocks, whole, rtol=1e-12)
    np.testing.assert_array_equal(to_float32(x, whole), ((x - whole[0]) / whole[1]).astype(np.float32))
