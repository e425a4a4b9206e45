"""Timestamps and the like: fit and predict see their digits; other rows are read as before."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.inputs.rows import read_rows

pytestmark = pytest.mark.usefixtures("quick_folds")

RNG = np.random.default_rng(0)
Y = np.arange(120) % 2
HOURS = (12 * Y + RNG.uniform(0, 8, 120))[:, None]
SECONDS = 1.7e9 + 60 * HOURS  # a float32 has steps of 128 s there: 8 minutes are 4 steps


def fit(X, **kwargs):
    settings = {"n_warmup_epochs": 10, "n_cycles": 2, "n_folds": 1, "guard": False, "random_state": 0}
    return FlywheelClassifier(**settings | kwargs).fit(X, Y)


@pytest.mark.parametrize(
    "kind",
    [np.array, pd.DataFrame, torch.from_numpy, np.ndarray.tolist, lambda x: x.astype(object)],
    ids=["float64", "DataFrame", "Tensor", "list", "object"],
)
def test_timestamps_are_told_apart(kind):
    seconds = kind(1.7e9 + HOURS)  # all within 20 s: one value in float32
    clf = fit(seconds)
    assert clf.score(seconds, Y) == 1.0
    np.testing.assert_allclose(clf.input_offset_, 1.7e9 + HOURS.mean())
    np.testing.assert_allclose(clf.input_scale_, HOURS.std(), rtol=1e-6)


def test_integers_are_told_apart():
    nanoseconds = (1_700_000_000_000_000_000 + (HOURS * 1e9).astype(np.int64)).astype(np.int64)
    assert fit(nanoseconds).score(nanoseconds, Y) == 1.0


def test_predict_centres_any_type_as_fit_did():
    clf = fit(SECONDS)
    rounded = SECONDS.astype(np.float32)
    np.testing.assert_array_equal(clf.predict_proba(rounded), clf.predict_proba(rounded.astype(np.float64)))
    np.testing.assert_array_equal(clf.predict_proba(SECONDS[:1]), clf.predict_proba(SECONDS)[:1])


def test_it_does_not_depend_on_the_offset():
    clf, moved = fit(SECONDS), fit(SECONDS + 2.0**31)
    np.testing.assert_allclose(clf.predict_proba(SECONDS), moved.predict_proba(SECONDS + 2.0**31), atol=1e-3)


def test_a_second_fit_forgets_the_first():
    clf = fit(SECONDS)
    clf.fit(HOURS.astype(np.float32), Y)
    assert clf.input_offset_ is None
    clf.fit(SECONDS, Y)
    clf.fit(TensorDataset(torch.from_numpy(HOURS).float()), Y)
    assert clf.input_offset_ is None and clf.input_scale_ is None


def test_save_and_load_keep_the_centring(tmp_path):
    clf = fit(SECONDS)
    clf.save(tmp_path / "saved")
    loaded = FlywheelClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict_proba(SECONDS), clf.predict_proba(SECONDS))


def test_float32_rows_are_not_copied_and_doubles_are_rounded_only():
    estimator, x = FlywheelClassifier(), RNG.normal(size=(20, 3))
    single = x.astype(np.float32)
    assert np.shares_memory(read_rows(estimator, single, reset=True).numpy(), single)
    np.testing.assert_array_equal(read_rows(estimator, x, reset=True).numpy(), single)
    assert estimator.input_offset_ is None


def test_an_estimator_of_an_earlier_version_reads_as_before():
    clf = fit(HOURS)
    del clf.input_offset_, clf.input_scale_, clf.input_medians_, clf.input_features_
    assert clf.predict(HOURS).shape == (120,)


def test_values_too_large_for_float32_are_refused():
    x = HOURS.copy()
    x[3] = 1e39
    with pytest.raises(ValueError, match="Input X contains infinity or a value too large for dtype..float32"):
        fit(x)
    with pytest.raises(ValueError, match="too large for dtype"):
        fit(HOURS).predict(x)
