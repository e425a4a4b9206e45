"""A whole run, without an estimator, on two blobs whose labels were flipped by a known matrix."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tables import settings

from noisyflywheel.data import ArraySource
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.loop.run import FlywheelRun
from noisyflywheel.loop.watch.checkpoints import FitCheckpoints
from noisyflywheel.loop.watch.progress import FitProgress
from noisyflywheel.nets import Trainer, prepare_net
from noisyflywheel.nets.prepare import default_net
from noisyflywheel.views.adapter import ViewAdapter
from noisyflywheel.views.vectors import VectorViews

FLIPS = np.array([[0.9, 0.1], [0.35, 0.65]])
"""Rows = true class, columns = given class."""


class NoTask:
    def cycle_begin(self):
        return None

    def cycle_end(self, task):
        return False


def blobs(n=600):
    """Rows (n, 4), true and given labels."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    X = rng.normal(size=(n, 4)) + 2.5 * np.eye(4)[y]
    given = (rng.random(n) < FLIPS[y, 1]).astype(np.int64)
    return torch.tensor(X, dtype=torch.float32), torch.from_numpy(y), torch.from_numpy(given)


@pytest.fixture(scope="module")
def run():
    X, y, given = blobs()
    torch.manual_seed(0)
    nets = [default_net(False, len(X), "cpu", auxiliary) for auxiliary in (False, True)]
    trainers = [
        Trainer(prepare_net(net, {"n_features": 4, "n_classes": 2}, None, False), scheduled=True) for net in nets
    ]
    for trainer in trainers:
        trainer.net.module_.adapt(X)
    loader = ViewLoader(ArraySource(X, torch.device("cpu")), ViewAdapter(VectorViews(), X), 0)
    wheel = Flywheel(*trainers, loader, given, 2, settings(n_warmup_epochs="auto", n_cycles=15))
    made = FlywheelRun(wheel, FitProgress(0, 15), FitCheckpoints())
    made.start()
    made.run_cycles(NoTask())
    wheel.close()
    return made, y, given


def test_the_flip_matrix_is_found(run):
    made, y, given = run
    drawn = np.array([[float((given[y == k] == j).double().mean()) for j in (0, 1)] for k in (0, 1)])
    np.testing.assert_allclose(made.flywheel.state.transition, drawn, atol=0.05)


def test_eq_11_counts_the_right_labels(run):
    """gamma alone counts those drawn as clean; of the others, too, some are right."""
    made, y, given = run
    s, right = made.flywheel.state, float((y == given).double().mean())
    own = s.f_prob.gather(1, given[:, None]).squeeze(1)
    assert abs(float((s.q + (1 - s.q) * own).mean()) - right) < 0.05
    assert 0.3 < float(s.gamma) < right


def test_labels_are_mended(run):
    made, y, given = run
    s = made.flywheel.state
    assert float((given == y).double().mean()) < 0.8
    assert float((s.y_hat == y).double().mean()) > 0.93
    assert float((s.f_prob.argmax(1) == y).double().mean()) > 0.93


def test_wrong_labels_rank_last(run):
    made, y, given = run
    s = made.flywheel.state
    assert roc_auc_score((y == given).numpy(), (s.quality_sum / s.n_scored).numpy()) > 0.95


def test_the_guard_has_nothing_to_say(run):
    made = run[0]
    assert made.guard is not None and not made.guard.has_gone_back and len(made.history) == 15
    assert 10 <= made.n_warmup_epochs <= 30
