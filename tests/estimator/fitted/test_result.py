"""Fitted attributes from the end of a fit made by hand."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from noisyflywheel import FlywheelClassifier
from noisyflywheel.estimator.fitted import result
from noisyflywheel.estimator.fitted.result import fitted_arrays
from noisyflywheel.loop.closing import Closing


def double(values):
    return torch.tensor(values, dtype=torch.float64)


CLOSING = Closing(
    predicted=torch.tensor([0, 1, 0]),
    confidence=torch.tensor([0.5, 0.75, 1.0]),
    refurbished=double([[0.75, 0.25], [0.25, 0.75], [0.7, 0.3]]),
    quality=double([0.5, 0.2, 0.1]),
    posterior=double([0.9, 0.6, 0.3]),
    transition=double([[0.8, 0.2], [0.3, 0.7]]),
    corruption=double([[0.1, 0.9], [0.6, 0.4]]),
    clean_rate=0.65,
)


def test_every_array_under_its_name():
    found = fitted_arrays(CLOSING)
    assert_allclose(found["label_quality_"], CLOSING.quality)
    assert_allclose(found["refurbished_proba_"], CLOSING.refurbished)
    assert_allclose(found["transition_matrix_"], CLOSING.transition)
    assert_allclose(found["corruption_matrix_"], CLOSING.corruption)
    assert found["_predicted"].tolist() == [0, 1, 0]
    assert_allclose(found["_confidence"], CLOSING.confidence)
    assert found["_confidence"].dtype == np.float64
    assert found["clean_rate_"] == 0.65
    assert all(isinstance(value, np.ndarray | float) for value in found.values())


def test_clean_proba_has_the_order_of_the_quality_and_the_level_of_the_posterior():
    found = fitted_arrays(CLOSING)
    assert_allclose(found["clean_proba_"], 0.999 * np.array([0.9, 0.6, 0.3]) + 0.001 * np.array([1, 2 / 3, 1 / 3]))


def test_log_proba_is_the_logarithm_and_minus_infinity_of_0(monkeypatch):
    clf = FlywheelClassifier()
    monkeypatch.setattr(FlywheelClassifier, "predict_proba", lambda self, X: np.array([[0.25, 0.75], [0.0, 1.0]]))
    assert_array_equal(clf.predict_log_proba(None), [[np.log(0.25), np.log(0.75)], [-np.inf, 0]])


@pytest.mark.parametrize("kind", ["array", "dataset"])
def test_many_rows_are_predicted_part_by_part(kind, monkeypatch):
    X, y = load_digits(return_X_y=True)
    clf = FlywheelClassifier(n_folds=1, n_warmup_epochs=1, n_cycles=1, random_state=0).fit(X[:200], y[:200].astype(str))
    rows = X if kind == "array" else TensorDataset(torch.from_numpy(X).float(), torch.from_numpy(y))
    whole, classes = clf.predict_proba(rows), clf.predict(rows)
    sizes, make = [], result.probabilities
    monkeypatch.setattr(result, "LARGE", 0)
    monkeypatch.setattr(result, "probabilities", lambda log_p: sizes.append(len(log_p)) or make(log_p))
    assert_array_equal(clf.predict(rows), classes)
    assert sum(sizes) == len(X) and max(sizes) < len(X) / 2
    assert_array_equal(clf.predict_proba(rows), whole)
