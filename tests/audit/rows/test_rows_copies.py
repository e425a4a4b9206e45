import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from noisyflywheel.audit.rows.copies import copies_in
from noisyflywheel.data import lazy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
X[[7, 9, 12, 15]] = X[2]
Y = np.arange(40) % 3
Y[[7, 9, 12, 15]] = Y[2]
FIRST = np.where(np.isin(np.arange(40), [7, 9, 12, 15]), 2, np.arange(40))


@pytest.mark.parametrize(
    "rows",
    [
        X,
        X.astype(np.float32),
        X.astype(np.float16),
        X.astype(object),
        (1e6 * X).astype(int),
        np.where(X[2, 0] == X, np.nan, X),
        np.array([[f"{v:.9f}" for v in row] for row in X]),
        X.reshape(40, 3, 1, 1),
        pd.DataFrame(X),
        pd.DataFrame(X).assign(text=[f"row {c}" for c in FIRST], when=pd.to_datetime(FIRST)),
        torch.from_numpy(X),
        torch.from_numpy(X).bfloat16(),
        csr_array(X),
        X.tolist(),
        [f"text {c}" for c in FIRST],
        np.array([f"text {c}" for c in FIRST], dtype=object),
        pd.Series([f"text {c}" for c in FIRST]),
    ],
)
def test_copies_of_any_kind(rows):
    np.testing.assert_array_equal(copies_in(rows, Y), FIRST)


@pytest.mark.parametrize("rows", [X[:, 0], pd.DataFrame(index=range(40)), X[:, :0], [[1], [2, 3]], [], iter(X), None])
def test_other_rows_are_not_looked_at(rows):
    assert copies_in(rows, Y) is None


def test_a_large_array_on_disk_is_not_read(tmp_path, monkeypatch):
    on_disk = np.memmap(tmp_path / "X.bin", float, "w+", shape=X.shape)
    on_disk[:] = X
    np.testing.assert_array_equal(copies_in(on_disk, Y), FIRST)
    monkeypatch.setattr(lazy, "COPIED_BYTES", 100)
    assert copies_in(on_disk, Y) is None
