"""The noise generators: laws, exact counts, label kinds, seeds and errors."""

import re

import numpy as np
import pandas as pd
import pytest

from noisyflywheel import noise
from noisyflywheel.noise.maps import CIFAR10_CLASSES, CIFAR100_SUPERCLASSES, cyclic_targets, named_targets

Y10 = np.repeat(np.arange(10), 400)


# symmetric


def test_symmetric_changes_exactly_that_many_rows_when_the_true_class_is_excluded():
    noisy = noise.symmetric(Y10, 0.2, exclude_true=True, random_state=0)
    assert (noisy != Y10).sum() == 800


def test_symmetric_includes_the_true_class():
    noisy, info = noise.symmetric(Y10, 0.5, random_state=0, return_info=True)
    np.testing.assert_allclose(info.transition_matrix, 0.5 * np.eye(10) + 0.05)
    assert abs((noisy != Y10).mean() - 0.45) < 0.03
    np.testing.assert_array_equal(info.flipped, noisy != Y10)
    np.testing.assert_allclose(noise.transition_matrix(Y10, noisy), info.transition_matrix, atol=0.08)


def test_symmetric_law_without_the_true_class():
    _, info = noise.symmetric([0, 1, 2], 0.6, exclude_true=True, return_info=True)
    np.testing.assert_allclose(info.transition_matrix, [[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]])


@pytest.mark.parametrize("rate", [0, 1.0])
def test_symmetric_extreme_rates(rate):
    noisy = noise.symmetric(Y10, rate, exclude_true=True, random_state=1)
    assert (noisy != Y10).mean() == rate


# asymmetric


def test_asymmetric_default_is_the_next_class():
    noisy, info = noise.asymmetric(Y10, 0.4, random_state=0, return_info=True)
    flipped = noisy != Y10
    np.testing.assert_array_equal(noisy[flipped], (Y10[flipped] + 1) % 10)
    assert abs(flipped.mean() - 0.4) < 0.03
    np.testing.assert_allclose(info.transition_matrix[9], [0.4] + [0] * 8 + [0.6])


@pytest.mark.parametrize("y", [Y10, np.array(CIFAR10_CLASSES)[Y10]])
def test_asymmetric_cifar10(y):
    noisy, info = noise.asymmetric(y, 1.0, mapping="cifar10", random_state=0, return_info=True)
    codes = [list(info.classes).index(label) for label in noisy[::400]]
    assert codes == [0, 1, 0, 5, 7, 3, 6, 7, 8, 1]


def test_asymmetric_cifar10_on_a_subset_of_the_classes():
    noisy = noise.asymmetric(np.array([9, 3]), 1.0, mapping="cifar10")
    np.testing.assert_array_equal(noisy, [1, 5])


@pytest.mark.parametrize("mapping", ["cifar10", "cifar100", "cifar100_superclass"])
@pytest.mark.parametrize("named", [False, True])
def test_named_maps_do_not_depend_on_the_order_of_labels(mapping, named):
    names = np.arange(100) if mapping != "cifar10" else np.array(CIFAR10_CLASSES) if named else np.arange(10)
    expected = noise.asymmetric(names, 1.0, mapping=mapping)
    assert noise.asymmetric(names, 1.0, mapping=mapping, labels=names[::-1]).tolist() == expected.tolist()
    own = np.array([f"class {k}" for k in range(len(names))])[::-1]  # known by their places alone
    by_place = noise.asymmetric(own, 1.0, mapping=mapping, labels=own).tolist()
    numbers = noise.asymmetric(np.arange(len(own)), 1.0, mapping=mapping)
    assert by_place == own[numbers].tolist()


def test_asymmetric_cifar100():
    y = np.arange(100)
    blocks = noise.asymmetric(y, 1.0, mapping="cifar100")
    np.testing.assert_array_equal(blocks[:10], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5])
    inside = noise.asymmetric(y, 1.0, mapping="cifar100_superclass")
    assert inside[4] == 30 and inside[95] == 4 and inside[89] == 41


def test_superclasses_partition_the_fine_labels():
    table = np.array(CIFAR100_SUPERCLASSES)
    assert table.shape == (20, 5)
    np.testing.assert_array_equal(np.sort(table, axis=None), np.arange(100))
    np.testing.assert_array_equal(np.sort(cyclic_targets(table)), np.arange(100))


def test_asymmetric_user_map_never_flips_twice():
    noisy = noise.asymmetric(["a", "b", "c"], 1.0, mapping={"a": "b", "b": "a"})
    assert noisy.tolist() == ["b", "a", "c"]


@pytest.mark.parametrize("unit", ["D", "s", "us", "ns"])
@pytest.mark.parametrize("label", [pd.Timestamp, np.datetime64, lambda day: pd.Timestamp(day).date()])
def test_times_of_any_unit_are_known_in_any_form(unit, label):
    days = ["2024-01-01", "2024-01-02", "2024-01-03"]
    y, classes = np.array(days, dtype=f"M8[{unit}]"), [label(day) for day in days]
    turned = noise.asymmetric(y, 1.0, mapping={classes[0]: classes[1], classes[1]: classes[0]})
    assert turned.dtype == y.dtype and turned.tolist() == y[[1, 0, 2]].tolist()
    other = label("2024-02-01")
    with pytest.raises(ValueError, match=re.escape(f"not among the classes: [{other!r}]; see")):
        noise.asymmetric(y, 1.0, mapping={other: classes[0]})
    with pytest.raises(ValueError, match="not among the classes: \\['day'"):
        noise.asymmetric(y, 1.0, mapping={"day": classes[0]})


def test_spans_of_time_are_known_in_any_form():
    y = np.array([1, 2], dtype="m8[ns]")
    assert noise.asymmetric(y, 1.0, mapping={pd.Timedelta(1): np.timedelta64(2, "ns")}).tolist() == [2, 2]


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_times_that_are_categories_get_no_others(unit):
    y = pd.Series(pd.Categorical(np.array(["2024-01-01", "2024-01-02"], dtype=f"M8[{unit}]")))
    turned = noise.asymmetric(y, 1.0)
    assert turned.dtype == y.dtype and turned.tolist() == y.tolist()[::-1]


@pytest.mark.parametrize("units", [("s", "ns"), ("ns", "D")])
def test_classes_may_be_times_of_another_unit(units):
    y, labels = (np.array(["2024-01-01", "2024-01-02"], dtype=f"M8[{unit}]") for unit in units)
    assert noise.asymmetric(y, 1.0, labels=labels).tolist() == y[::-1].tolist()


def test_asymmetric_errors():
    with pytest.raises(ValueError, match="mapping must be one of"):
        noise.asymmetric(Y10, 0.1, mapping="mnist")
    with pytest.raises(ValueError, match="mapping must be one of"):
        named_targets("mnist", np.arange(10))
    with pytest.raises(ValueError, match="'cifar10' needs 10 classes, got 2"):
        noise.asymmetric([0, 1], 0.1, mapping="cifar10", labels=[0, 1])
    with pytest.raises(ValueError, match="not among the classes: \\['z'\\]"):
        noise.asymmetric(["a", "b"], 0.1, mapping={"a": "z"})
    with pytest.raises(TypeError, match="mapping must be None, a dict or a name, got list"):
        noise.asymmetric(["a", "b"], 0.1, mapping=[1])


# label kinds, seeds, errors of all


@pytest.mark.parametrize(
    "y",
    [
        np.array([3, 17, 3, 40] * 10),
        np.array([3, 17, 3, 40] * 10, dtype=np.uint8),
        np.array(["cat", "giraffe"] * 20),
        np.array(["cat", "giraffe"] * 20, dtype=object),
        np.array([True, False] * 20),
    ],
)
def test_arrays_keep_dtype_and_classes(y):
    before = y.copy()
    noisy = noise.symmetric(y, 0.9, random_state=0)
    assert noisy.dtype == y.dtype and set(noisy) <= set(y) and (noisy != y).any()
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("dtype", ["int64", "Int64", "str", "object", "category", "bool", "boolean"])
def test_series_keep_dtype_index_and_name(dtype):
    values = (
        [True, False] * 20 if dtype.startswith("bool") else ([4, 9] * 20 if "int" in dtype.lower() else ["a", "b"] * 20)
    )
    y = pd.Series(values, index=np.arange(40) * 2 + 5, name="label").astype(dtype)
    noisy = noise.symmetric(y, 0.5, exclude_true=True, random_state=0)
    assert noisy.dtype == y.dtype and noisy.name == "label"
    pd.testing.assert_index_equal(noisy.index, y.index)
    assert (noisy != y).sum() == 20


def test_categorical_and_list():
    noisy = noise.asymmetric(pd.Categorical(["a", "b", "a"]), 1.0)
    assert isinstance(noisy, pd.Categorical) and list(noisy) == ["b", "a", "b"]
    assert noise.asymmetric(["a", "b", "a"], 1.0).tolist() == ["b", "a", "b"]


def test_longer_names_from_labels_are_not_cut():
    noisy = noise.asymmetric(np.array(["a", "a"]), 1.0, labels=["a", "giraffe"])
    assert noisy.tolist() == ["giraffe", "giraffe"]


@pytest.mark.parametrize(
    "call",
    [
        lambda seed: noise.symmetric(Y10, 0.3, random_state=seed),
        lambda seed: noise.asymmetric(Y10, 0.3, random_state=seed),
        lambda seed: noise.from_matrix(Y10, np.full((10, 10), 0.1), random_state=seed),
        lambda seed: noise.instance_dependent(Y10[:, None] * 0.1, Y10, 0.3, random_state=seed),
    ],
)
def test_seeded_without_touching_the_global_state(call):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(call(0), call(0))
    assert (call(0) != call(1)).any()
    np.testing.assert_array_equal(call(np.random.default_rng(5)), call(5))
    np.testing.assert_array_equal(call(np.random.RandomState(5)), call(np.random.RandomState(5)))  # noqa: NPY002
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("rate", [-0.1, 1.1, np.nan, np.inf])
def test_rate_out_of_range(rate):
    with pytest.raises(ValueError, match="rate must be in \\[0, 1\\]"):
        noise.symmetric(Y10, rate)


@pytest.mark.parametrize("rate", ["0.1", None, True])
def test_rate_that_is_no_number(rate):
    with pytest.raises(TypeError, match="rate must be a number"):
        noise.asymmetric(Y10, rate)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], "y is empty"),
        ([[0, 1]], "y must be 1-D, got shape \\(1, 2\\)"),
        ([0.0, np.nan], "missing label in row 1"),
        (np.array(["a", None, "b"], dtype=object), "missing label in row 1"),
        (pd.Series(["a", "b", pd.NA], dtype="string"), "missing label in row 2"),
        ([1, 1], "at least 2 classes, got 1"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        noise.symmetric(y, 0.1)


def test_bad_class_lists():
    with pytest.raises(ValueError, match="not among the classes: \\[7\\]"):
        noise.symmetric([0, 7], 0.1, labels=[0, 1])
    with pytest.raises(ValueError, match="labels holds a class twice"):
        noise.symmetric([0, 1], 0.1, labels=[0, 1, 1])
    with pytest.raises(TypeError, match="mixed types"):
        noise.symmetric(np.array(["a", 1], dtype=object), 0.1)


@pytest.mark.parametrize("y", [[1, "1", 2], ("a", 2.5), [True, "True"], ["a", b"b"]])
def test_lists_of_several_types_are_refused(y):
    with pytest.raises(TypeError, match="labels of mixed types"):
        noise.symmetric(y, 0.0)
    with pytest.raises(TypeError, match="labels of mixed types"):
        noise.symmetric(["a", "b"], 0.0, labels=y)
    with pytest.raises(ValueError, match="missing label in row 0"):
        noise.symmetric([None, *y], 0.0)
    texts = ["a", np.str_("b"), "a"]
    assert noise.symmetric(texts, 0.0).tolist() == texts
