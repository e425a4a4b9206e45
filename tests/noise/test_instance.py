"""Instance-dependent noise."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import coo_array, csr_matrix

from noisyflywheel import noise
from noisyflywheel.noise.instance import flip_law, truncated_normal

Y10 = np.repeat(np.arange(10), 400)


def test_flip_law_by_hand():
    law = flip_law(np.array([[5.0, np.log(1.0), np.log(3.0)]]), 0, np.array([0.4]))
    np.testing.assert_allclose(law, [[0.6, 0.1, 0.3]])


def test_truncated_normal_stays_inside():
    q = truncated_normal(0.0, 0.1, 2000, np.random.default_rng(0))
    assert q.min() >= 0 and abs(q.mean() - 0.1 * np.sqrt(2 / np.pi)) < 0.01
    assert (truncated_normal(0.3, 0.0, 5, np.random.default_rng(0)) == 0.3).all()


@pytest.mark.parametrize("variant", ["part", "cores"])
def test_instance_dependent_rate_and_law(variant):
    X = np.random.default_rng(0).integers(0, 256, (4000, 4, 4, 3), dtype=np.uint8)
    noisy, info = noise.instance_dependent(X, Y10, 0.4, variant=variant, random_state=0, return_info=True)
    assert abs((noisy != Y10).mean() - 0.4) < 0.03
    np.testing.assert_allclose(info.transition_matrix.sum(axis=1), 1)
    np.testing.assert_allclose(noise.transition_matrix(Y10, noisy), info.transition_matrix, atol=0.1)


def test_instance_dependent_equal_rows_of_one_class_share_their_confusion():
    X = np.full((4000, 3), 5000.0)
    noisy = noise.instance_dependent(X, Y10, 0.5, random_state=0)
    for k in range(10):
        assert len(set(noisy[k == Y10])) == 2


def test_instance_dependent_in_blocks_is_the_same(monkeypatch):
    X = np.random.default_rng(0).normal(size=(4000, 5))
    whole = noise.instance_dependent(X, Y10, 0.4, random_state=3)
    monkeypatch.setattr("noisyflywheel.noise.instance._BLOCK_BYTES", 8 * 5 * 33)
    np.testing.assert_array_equal(whole, noise.instance_dependent(X, Y10, 0.4, random_state=3))


def test_instance_dependent_pairs_rows_of_one_index():
    index = [f"r{i}" for i in range(40)]
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), index=index)
    y = pd.Series(np.arange(40) % 3, index=index)
    noisy = noise.instance_dependent(X, y, 0.4, random_state=0)
    assert list(noisy.index) == index
    np.testing.assert_array_equal(noisy, noise.instance_dependent(X, y.to_numpy(), 0.4, random_state=0))
    for other in (y[::-1], y.reset_index(drop=True)):
        with pytest.raises(ValueError, match=r"X and y have different indices; align them first, as y.loc\[X.index\]"):
            noise.instance_dependent(X, other, 0.4, random_state=0)


@pytest.mark.parametrize("convert", [pd.DataFrame.copy, pd.DataFrame.convert_dtypes])
def test_instance_dependent_takes_frames_of_all_numbers(convert):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=40), "b": rng.integers(0, 9, 40), "c": rng.random(40) < 0.5})
    y = np.arange(40) % 3
    expected = noise.instance_dependent(X.astype(float).to_numpy(), y, 0.5, random_state=0)
    np.testing.assert_array_equal(noise.instance_dependent(convert(X), y, 0.5, random_state=0), expected)
    gone = convert(X.assign(b=X.b.astype("Int64").where(X.b > 3)))
    with pytest.raises(ValueError, match="X holds missing values"):
        noise.instance_dependent(gone, y, 0.5)
    with pytest.raises(ValueError, match="X must be numeric"):
        noise.instance_dependent(convert(X).assign(d="x"), y, 0.5)


def test_instance_dependent_takes_nullable_pixels_as_pixels():
    X = pd.DataFrame(np.random.default_rng(0).integers(0, 255, (40, 9)), dtype="UInt8")
    found = [noise.instance_dependent(x, np.arange(40) % 3, 0.5, random_state=0) for x in (X, X.to_numpy(np.uint8))]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("form", [csr_matrix, coo_array])
def test_instance_dependent_names_sparse_rows(form):
    with pytest.raises(TypeError, match="X is sparse"):
        noise.instance_dependent(form(np.eye(2)), [0, 1], 0.5)


def test_instance_dependent_errors():
    X = np.zeros((2, 3))
    with pytest.raises(ValueError, match="variant must be"):
        noise.instance_dependent(X, [0, 1], 0.1, variant="x")
    with pytest.raises(ValueError, match="X must have shape \\(3, ...\\), got \\(2, 3\\)"):
        noise.instance_dependent(X, [0, 1, 1], 0.1)
    with pytest.raises(ValueError, match="NaN or infinity"):
        noise.instance_dependent(X * np.nan, [0, 1], 0.1)
    with pytest.raises(ValueError, match="masked"):
        noise.instance_dependent(np.ma.masked_equal(np.eye(2), 1), [0, 1], 0.1)
    with pytest.raises(ValueError, match="numeric"):
        noise.instance_dependent(np.array([["a"], ["b"]]), [0, 1], 0.1)
    with pytest.raises(ValueError, match="rate_std"):
        noise.instance_dependent(X, [0, 1], 0.1, rate_std=-1)
    with pytest.raises(ValueError, match="rate_std must be in \\[0, 10\\], got 100000000.0"):
        noise.instance_dependent(X, [0, 1], 0.1, rate_std=1e8)
    with pytest.raises(ValueError, match="at least 2 classes"):
        noise.instance_dependent(X, [1, 1], 0.1)
