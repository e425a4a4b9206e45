"""Arrays with missing cells: the features of a `TableEncoder` from stored numbers."""

import tracemalloc

import numpy as np
import pytest

from noisyflywheel.data import centring
from noisyflywheel.data.encoder import numbers
from noisyflywheel.data.encoder.encode import TableEncoder
from noisyflywheel.data.encoder.numbers import encode_numbers, fill_missing, has_missing, learn_features, medians

NAN = np.nan


def rows(n=60, seed=0):
    """Numbers with gaps in columns 0 and 2; column 3 is all missing, column 4 the same everywhere."""
    x = np.random.default_rng(seed).normal([0, 1e9, -3, 0, 0], [1, 1, 1e-3, 1, 0], (n, 5))
    x[::4, 0] = x[1::3, 2] = x[:, 3] = NAN
    return x


def test_by_hand():
    x = np.array([[1.0, 5.0], [NAN, 7.0], [3.0, 6.0], [8.0, 6.0]])  # median 3, mean 3.75
    encoded, features = learn_features(x)
    assert features["column"].tolist() == [0, 1, 0] and features["is_flag"].tolist() == [False, False, True]
    assert features["fill"].tolist() == [3.0, 6.0, 3.0] and features["mean"].tolist() == [3.75, 6.0, 0.25]
    scale = np.std([1, 3, 3, 8]), np.sqrt(0.5), np.sqrt(3) / 4
    np.testing.assert_allclose(features["scale"], scale)
    np.testing.assert_allclose(encoded[1], [-0.75 / scale[0], 1 / scale[1], 0.75 / scale[2]], rtol=1e-6)
    np.testing.assert_allclose(encode_numbers(np.array([[3.75, NAN]]), features), [[0, 0, -0.25 / scale[2]]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_to_the_encoder_to_the_last_bit(dtype, monkeypatch):
    monkeypatch.setattr(centring, "NUMBERS", 5 * 7)  # in blocks of seven rows
    x, new = (rows(seed=seed)[:, [0, 2, 3, 4]].astype(dtype) for seed in (0, 1))
    new[5] = NAN
    encoded, features = learn_features(x)
    encoder = TableEncoder().fit(x)
    np.testing.assert_array_equal(encoded, encoder.transform(x))
    np.testing.assert_array_equal(encode_numbers(x, features), encoded)
    np.testing.assert_array_equal(encode_numbers(new, features), encoder.transform(new))
    assert encoded.dtype == encode_numbers(x, features).dtype == np.float32


def test_columns_that_say_nothing_are_left_out():
    _, features = learn_features(rows())
    assert features["column"].tolist() == [0, 1, 2, 0, 2]


def test_values_beyond_float32_become_infinite():
    x = rows()
    assert np.isinf(encode_numbers(np.full((1, 5), 1e300), learn_features(x)[1])).any()


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (np.array([[1.0, NAN]]), True),
        (np.array([[1.0, np.inf], [-np.inf, 0.0]]), False),
        (np.array([[np.inf, NAN]], dtype=np.float32), True),
        (np.array([[NAN]], dtype=np.float16), True),
        (np.asfortranarray(rows())[::-1], True),
        (np.array([[1, 2]]), False),
        (np.array([[True]]), False),
        (np.zeros((0, 3)), False),
    ],
)
def test_has_missing(x, expected):
    assert has_missing(x) is expected


def test_a_million_rows_are_not_copied_to_look_for_gaps():
    x = np.ones((1_000_000, 4), dtype=np.float32)
    x[-1, -1] = NAN
    tracemalloc.start()
    assert has_missing(x) and has_missing(x[::2, ::-1]) is False
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_medians_and_filling(monkeypatch):
    x = np.array([[3, 1], [1, 1], [2, 9], [7, 2]], dtype=np.float32)
    np.testing.assert_array_equal(medians(x), [2.5, 1.5])
    np.testing.assert_array_equal(medians(x > 2), [0.5, 0])
    gaps = np.array([[NAN, 4], [5, NAN]], dtype=np.float32)
    filled = fill_missing(gaps, medians(x))
    np.testing.assert_array_equal(filled, [[2.5, 4], [5, 1.5]])
    assert filled.dtype == np.float32 and np.isnan(gaps).sum() == 2
    monkeypatch.setattr(numbers, "MEDIAN_ROWS", 2)
    np.testing.assert_array_equal(medians(x), [2.5, 5])  # rows 0 and 2
