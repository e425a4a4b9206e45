"""Labels written back in a dtype that holds every class."""

import numpy as np
import pandas as pd
import pytest

from noisyflywheel import noise


@pytest.mark.parametrize("kind", [np.asarray, pd.Series])
@pytest.mark.parametrize(
    ("y", "labels", "dtype"),
    [
        (np.arange(200, dtype=np.uint8), range(300), "int64"),
        (np.arange(200, dtype=np.uint8), range(200), "uint8"),
        (np.arange(9, dtype=np.uint8), np.arange(-3, 9, dtype=np.int16), "int16"),
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
