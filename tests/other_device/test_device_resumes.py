"""Fits on a device that is not the CPU that stop anywhere, and go on from their checkpoint as if they had not."""

import numpy as np
import pytest
from test_device_fits import N, X, classifier, given

from noisyflywheel.estimator.auto.defaults import AUTO_FOLDS, AUTO_VECTORS
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.warmup_run import WarmUp

pytestmark = pytest.mark.usefixtures("quick_folds", "stand_in", "written_always")

both_forms = pytest.mark.parametrize("n_folds", [pytest.param(1, marks=pytest.mark.slow), 2])


class PowerCutError(Exception):
    """The end of a fit."""


@pytest.fixture
def written_always(monkeypatch):
    monkeypatch.setattr("noisyflywheel.loop.watch.checkpoints.SHARE", 1e9)
    monkeypatch.setattr("noisyflywheel.loop.run.LONG", 0.0)
    monkeypatch.setattr("noisyflywheel.loop.with_folds.folded_warmup.MOST_EPOCHS", 4)


@pytest.fixture
def power_cut(monkeypatch):
    """Lets a method of a class raise once, where a condition holds of its object."""

    def cut(owner, name, when):
        method, done = getattr(owner, name), []

        def cutting(self, *args):
            if when(self) and not done:
                done.append(True)
                raise PowerCutError
            return method(self, *args)

        monkeypatch.setattr(owner, name, cutting)

    return cut


def check_resumed(tmp_path, rows=X, labels=given, sample_weight=None, **settings):
    """That a fit which is cut off goes on to the end of one that is not; returns it."""
    with pytest.raises(PowerCutError):
        classifier(**settings, checkpoint_dir=tmp_path).fit(rows, labels, sample_weight=sample_weight)
    resumed = classifier(**settings, checkpoint_dir=tmp_path).fit(rows, labels, sample_weight=sample_weight)
    whole = classifier(**settings).fit(rows, labels, sample_weight=sample_weight)
    np.testing.assert_array_equal(resumed.label_quality_, whole.label_quality_)
    np.testing.assert_array_equal(resumed.predict_proba(rows), whole.predict_proba(rows))
    return resumed


@both_forms
def test_in_the_warm_up(n_folds, tmp_path, power_cut):
    power_cut(WarmUp, "train_epoch", lambda warm_up: warm_up.epoch == 2)
    rows = np.tile(X, (6, 1)) + np.random.default_rng(1).normal(size=(6 * N, 4)).astype(np.float32)  # some are held out
    check_resumed(tmp_path, rows, np.tile(given, 6), n_folds=n_folds, n_warmup_epochs="auto")


@both_forms
def test_inside_a_cycle(n_folds, tmp_path, power_cut):
    power_cut(Flywheel, "step_after_resampling", lambda flywheel: flywheel.state.cycle == 1)
    check_resumed(tmp_path, n_folds=n_folds, n_cycles=3)


@pytest.mark.slow
@pytest.mark.parametrize("cycle", [2, 3, 7])
def test_about_the_second_start(cycle, tmp_path, power_cut, monkeypatch):
    monkeypatch.setattr("noisyflywheel.loop.decisions.second_start.NEARLY", -1.0)
    monkeypatch.setattr("noisyflywheel.loop.decisions.second_start.KEPT", 2)
    monkeypatch.setitem(AUTO_VECTORS, "n_cycles", 10)
    power_cut(Flywheel, "step_after_resampling", lambda flywheel: flywheel.state.cycle == cycle)
    settings = {"n_folds": 1, "n_cycles": "auto", "cr_ramp": 3, "contrastive_weight": 0.1, "average_epochs": 1.0}
    assert "second start" in set(check_resumed(tmp_path, **settings).decisions_["decision"])


@pytest.mark.slow
@pytest.mark.parametrize("worse", [False, True])
def test_in_another_round_that_may_be_undone(worse, tmp_path, power_cut, monkeypatch):
    monkeypatch.setattr("noisyflywheel.loop.with_folds.rounds.WORTH", -99.0)
    monkeypatch.setattr("noisyflywheel.loop.with_folds.rounds.Rounds.last_was_worse", property(lambda rounds: worse))
    monkeypatch.setitem(AUTO_FOLDS, "n_cycles", 2)
    power_cut(Flywheel, "step_after_resampling", lambda flywheel: flywheel.state.cycle == 2)
    resumed = check_resumed(tmp_path, n_folds=2, n_cycles="auto", n_warmup_epochs="auto")
    assert resumed.history_["undone"].tolist() == [False, False, worse]


LARGE = {
    "calibrated": {"calibrate": True},
    "balanced cycles": {"cycle_size": 20},
    "no auxiliary net": {"refurbish": False},
    "aligned": {"distribution_alignment": 1.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("way", LARGE)
@pytest.mark.parametrize("half", [0, 2**25])
def test_many_rows_and_classes(way, half, tmp_path, power_cut, monkeypatch):
    monkeypatch.setattr("noisyflywheel.estimator.job.assemble.LARGE", 0)
    monkeypatch.setattr("noisyflywheel.loop.large.HALF", half)
    monkeypatch.setattr("noisyflywheel.loop.large.BLOCK", 30)
    power_cut(Flywheel, "step_after_resampling", lambda flywheel: flywheel.state.cycle == 1)
    weights = np.r_[np.zeros(6), np.linspace(0.5, 1, N - 6)]
    check_resumed(tmp_path, sample_weight=weights, n_folds=1, n_cycles=3, **LARGE[way])
