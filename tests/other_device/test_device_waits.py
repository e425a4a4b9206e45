"""Where a cycle waits for a device that is not the CPU: only at what `tests/cuda/host_reads.py` lists."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_device_fits import X, classifier, given, pictures, small_net

pytestmark = pytest.mark.usefixtures("quick_folds", "stand_in")

FOLDER = Path(__file__).parents[1] / "cuda"


@pytest.fixture
def waits(monkeypatch):
    """Places of the second cycle of a fit that wait and are not listed, with their counts."""
    monkeypatch.syspath_prepend(FOLDER)
    from test_host_reads import Watched

    def found(rows, labels, *nets, **params):
        watched = Watched(torch.device("cuda"))
        classifier(*nets, **params, n_cycles=2, on_cycle=watched).fit(rows, labels)
        assert watched.reads.places["nets/trainer:epoch"] == 2
        return watched.reads.not_listed()

    return found


@pytest.mark.parametrize("n_folds", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_on_rows_of_which_some_stand_for_all(n_folds, waits, monkeypatch):
    monkeypatch.setattr("noisyflywheel.em.calibration.MANY_ROWS", 40)
    monkeypatch.setattr("noisyflywheel.em.some_rows.some_rows.__defaults__", (40,))
    assert waits(X, given, n_folds=n_folds) == {}


@pytest.mark.slow
def test_with_weights_and_all_losses(waits):
    literal = {"contrastive_weight": 0.1, "mixup_alpha": 4.0, "resample": "argmax", "calibrate": False}
    assert waits(np.tile(X, (2, 1)), np.tile(given, 2), n_folds=1, average_epochs=1.0, **literal) == {}
    assert waits(pictures, given, small_net(), average_epochs=1.0, **literal) == {}
