"""A fit on the device ends where the same fit on the CPU does, to the tolerance that float32 leaves."""

import numpy as np
import pytest
from made import make_rows, rarely_on_the_cpu

from noisyflywheel import FlywheelClassifier


def fit(device, **params):
    X, given, _ = make_rows(1_500)
    settings = {"n_warmup_epochs": 2, "n_cycles": 2, "views": None, "device": str(device), "random_state": 0}
    return FlywheelClassifier(**settings | params).fit(X, given), X


@rarely_on_the_cpu
@pytest.mark.parametrize("params", [{}, {"resample": "argmax", "calibrate": False, "cr_ramp": 0}, {"refurbish": False}])
def test_results_are_the_cpus(device, params):
    (there, X), (here, _) = fit(device, **params), fit("cpu", **params)
    for name in ("label_quality_", "refurbished_proba_", "transition_matrix_"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), atol=0.02, err_msg=name)
    np.testing.assert_allclose(there.predict_proba(X), here.predict_proba(X), atol=0.02)
    columns = ["gamma", "auxiliary_loss", "main_loss", "agreement"]
    np.testing.assert_allclose(there.history_[columns], here.history_[columns], atol=0.02)
    assert there.clean_rate_ == pytest.approx(here.clean_rate_, abs=0.01)
