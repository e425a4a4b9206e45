"""Labels written back in a dtype that holds every class."""

import numpy as np
import pandas as pd
import pytest

from noisyflywheel import noise

NUMPY_1 = np.lib.NumpyVersion(np.__version__) < "2.0.0"


@pytest.mark.parametrize("kind", [np.asarray, pd.Series])
@pytest.mark.parametrize(
    ("y", "labels", "dtype"),
    [
        (np.arange(200, dtype=np.uint8), range(300), "int64"),
        (np.arange(200, dtype=np.uint8), range(200), "uint8"),
        (np.arange(9, dtype=np.uint8), np.arange(-3, 9, dtype=np.int16), "int16"),
        (np.arange(200, dtype=np.float16), [*range(200), 70_000], "float64"),
        (np.arange(200, dtype=np.float16), range(300), "float16"),
        (np.arange(200, dtype=np.float32), [*range(200), 2**24 + 1], "float64"),
        (np.array([True, False] * 20), [0, 1, 2], "int64"),
        (np.array([True, False] * 20), [0, 1], "bool"),
        (np.array([1, 2] * 20), [1, 2, 2.5], "float64"),
    ],
)
def test_numbers_from_labels_do_not_wrap_around(kind, y, labels, dtype):
    noisy, info = noise.symmetric(kind(y), 1.0, labels=labels, random_state=0, return_info=True)
    assert noisy.dtype == dtype
    assert set(noisy.tolist()) <= set(np.asarray(labels).tolist())
    np.testing.assert_array_equal(info.flipped, noisy != y)
    wide = noise.symmetric(y.astype(object), 1.0, labels=labels, random_state=0)
    assert noisy.tolist() == wide.tolist()


@pytest.mark.parametrize("dtype", ["Int8", "boolean", "Float32"])
def test_nullable_numbers_are_widened_where_labels_do_not_fit(dtype):
    y = pd.Series([0, 1] * 20, index=range(40, 0, -1), name="label").astype(dtype)
    noisy = noise.symmetric(y, 1.0, labels=[0, 1, 1000], random_state=0)
    assert set(noisy.tolist()) == {0, 1, 1000}
    assert noisy.index.equals(y.index) and noisy.name == "label"
    assert noise.symmetric(y, 1.0, random_state=0).dtype == y.dtype


@pytest.mark.parametrize("kind", [pd.Categorical, pd.CategoricalIndex, lambda y: pd.Series(y, dtype="category")])
def test_classes_become_categories(kind):
    noisy = pd.Series(noise.symmetric(kind(["b", "a"] * 20), 1.0, labels=["b", "c", "a"], random_state=0))
    assert set(noisy) == {"a", "b", "c"}
    assert noisy.cat.categories.tolist() == ["a", "b", "c"]
    unseen = pd.Categorical(["b", "a"] * 20, categories=["z", "b", "a"])
    assert noise.symmetric(unseen, 1.0, random_state=0).categories.tolist() == ["z", "b", "a"]


@pytest.mark.parametrize(
    "y",
    [
        np.ma.masked_array([0, 1, 2], mask=[False, True, False]),
        np.ma.masked_array([0, np.nan, 2], mask=False),
        np.array(["2020-01-01", "NaT", "2020-01-02"], dtype="M8[D]"),
        pd.Index([1.0, None, 2.0]),
        ["a", np.nan, "b"],
        ["a", pd.NA, "b"],
        np.array(["a", pd.NA, "b"], dtype=object),
        pytest.param("StringDType", marks=pytest.mark.skipif(NUMPY_1, reason="numpy has StringDType from 2 on")),
    ],
)
def test_masked_labels_and_dates_that_are_none_are_missing(y):
    if isinstance(y, str):
        y = np.array(["a", np.nan, "b"], dtype=np.dtypes.StringDType(na_object=np.nan))
    with pytest.raises(ValueError, match="y has a missing label in row 1"):
        noise.symmetric(y, 0.5)
