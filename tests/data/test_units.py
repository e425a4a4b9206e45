"""Units in which trees tell all numbers of a column apart."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from noisyflywheel.data.units import in_own_units, unit_exponents


def test_by_hand():
    x = np.array([[1.0, -3e-8, 0.0, np.nan], [0.5, 1e-8, 0.0, 5.0], [0.75, np.nan, 0.0, -8.0]])
    exponents = [1 - 30, -24 - 30, 0, 4 - 30]  # 3e-8 is .503 of 2^-24, 8 is half of 2^4
    assert unit_exponents(x).tolist() == exponents
    np.testing.assert_array_equal(in_own_units(x), x / 2.0 ** np.array(exponents))


def test_what_has_no_unit_stays():
    x = np.array([[0.0, np.inf, np.nan, 1.0], [-0.0, 2.0, np.nan, -np.inf]])
    np.testing.assert_array_equal(in_own_units(x), x)
    assert in_own_units(np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(bool, np.float32), (np.uint8, np.float32), (np.float16, np.float32), (np.float32, np.float32)]
    + [(np.int32, np.float64), (np.int64, np.float64), (np.float64, np.float64)],
)
def test_types(dtype, expected):
    given = np.array([[1, 0], [0, 1]], dtype=dtype)
    own = in_own_units(given)
    assert own.dtype == expected and own.tolist() == [[2**29, 0], [0, 2**29]]
    assert given.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("unit", [5e-324, 1e-45, 1e-8, 1.0, 1e30])
@pytest.mark.parametrize("largest", [1.0, 1e9])
def test_trees_tell_numbers_apart_in_any_unit(unit, largest):
    x, y = np.array([[0.0], [1.0], [2.0], [3.0], [largest]]) * unit, np.array([0, 1, 0, 1, 1])
    own = in_own_units(x)
    assert DecisionTreeClassifier().fit(own, y).score(own, y) == 1


@pytest.mark.parametrize("seed", range(5))
def test_other_trees_are_the_same(seed):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(200, 4)) * [1, 1e-3, 1e4, 7]).astype(np.float32)
    y = rng.integers(0, 3, 200)
    plain, own = (DecisionTreeClassifier(random_state=0).fit(rows, y).tree_ for rows in (x, in_own_units(x)))
    inner = plain.feature >= 0
    np.testing.assert_array_equal(own.feature, plain.feature)
    thresholds = np.ldexp(own.threshold[inner], unit_exponents(x)[plain.feature[inner]])
    np.testing.assert_array_equal(thresholds, plain.threshold[inner])
