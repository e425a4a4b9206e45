"""Threads of a fit."""

import numpy as np
import pytest
import torch

from noisyflywheel import FlywheelClassifier
from noisyflywheel.nets import threads
from noisyflywheel.nets.threads import at_most_threads

pytestmark = pytest.mark.usefixtures("quick_folds")


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)


@pytest.mark.parametrize(("asked", "inside"), [(1, 1), (2, 2), (3, 2), (None, 2)])
def test_threads_are_as_before_also_after_an_error(two_threads, asked, inside):
    with pytest.raises(RuntimeError, match="stop"), at_most_threads(asked):
        assert torch.get_num_threads() == inside
        raise RuntimeError("stop")
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("few", "expected"), [(40, 1), (39, 2)])
def test_a_fit_on_few_rows_uses_one(two_threads, monkeypatch, few, expected):
    monkeypatch.setattr("noisyflywheel.estimator.fit.FEW_ROWS", few)
    seen = []
    clf = FlywheelClassifier(n_warmup_epochs=1, n_cycles=1, on_cycle=lambda *_: seen.append(torch.get_num_threads()))
    clf.fit(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2)
    assert seen == [expected] and torch.get_num_threads() == 2
    assert threads.FEW_ROWS == 5_000
