"""Timestamps and the like: fit and predict see their digits; other rows are read as before."""

import numpy as np
import pandas as pd
import pytest
import torch
from items import Items
from skorch.helper import SliceDataset
from torch.utils.data import Subset, TensorDataset

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


def items(rows):
    """``(x, label)`` of rows of any type, without a ``__getitems__``."""
    return Items([(row, int(label)) for row, label in zip(rows, Y, strict=True)])


@pytest.mark.parametrize(
    "kind",
    [
        lambda x: TensorDataset(torch.from_numpy(x)),
        lambda x: SliceDataset(TensorDataset(torch.from_numpy(x))),
        lambda x: Subset(TensorDataset(torch.from_numpy(x)), range(120)),
        items,
        lambda x: items([torch.from_numpy(row.astype(np.int64)) for row in x]),
    ],
    ids=["TensorDataset", "SliceDataset", "Subset", "of arrays", "of integers"],
)
def test_a_dataset_to_predict_is_centred_as_the_rows_of_the_fit_were(kind):
    """Its timestamps went to the nets as they are, which then predicted one class."""
    seconds = np.round(SECONDS)
    clf = fit(seconds)
    np.testing.assert_array_equal(clf.predict_proba(kind(seconds)), clf.predict_proba(seconds))
    assert clf.score(kind(seconds), Y) == clf.score(seconds, Y) == 1.0


def test_an_item_of_another_shape_is_refused_after_a_fit_with_centred_columns():
    clf = fit(np.c_[SECONDS, HOURS])
    items = Items([np.zeros(2), np.zeros(2), np.zeros(1)])
    with pytest.raises(ValueError, match=r"item 2 of the Dataset has shape \(1,\), item 0 has \(2,\)"):
        clf.predict(items)


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
