"""The warm-up of a run, on tables of ten rows: how long it is, what each net leaves out, and what comes back."""

import math

import pytest
import torch
from tables import F_PROB, WEIGHTS, flywheel, logits_of
from test_run import Kept, run, started
from torch.testing import assert_close

from noisyflywheel.exceptions import DivergenceError
from noisyflywheel.loop.decisions import warmup
from noisyflywheel.loop.warmup_run import WarmUp
from noisyflywheel.loop.watch.progress import FitProgress
from noisyflywheel.nets.parallel.ranks import ALONE


def test_a_warm_up_of_two_epochs_and_the_state_after_it(monkeypatch):
    losses = {}
    monkeypatch.setattr(FitProgress, "warm_up", lambda self, epoch, loss: losses.update({epoch: loss}))
    made = started()
    assert made.n_warmup_epochs == 2 and made.flywheel.main.net.history[:, "epoch"] == [1, 2]
    s = made.flywheel.state
    assert_close(s.f_prob, torch.softmax(logits_of(made.flywheel.aux), 1))
    assert made.history == [] and made.n_cycles_done == 0 and not made.stopped
    assert (made.progress.epochs_done, made.progress.cycles_done) == (2, 0)
    assert list(losses) == [1, 2] and all(1 < loss < 2 for loss in losses.values())


def test_no_warm_up_at_all():
    made = started(n_warmup_epochs=0)
    assert made.n_warmup_epochs == 0
    assert_close(made.flywheel.state.f_prob, F_PROB)


def test_few_rows_warm_up_for_ten_epochs():
    assert started(n_warmup_epochs="auto").n_warmup_epochs == 10


def watched(monkeypatch, agreement, **changes):
    """A run whose agreement on held-out rows is ``agreement[epoch - 1]`` rows of 40; what each epoch left out."""
    made = run(n_warmup_epochs="auto", **changes)
    monkeypatch.setattr(warmup, "HELD_LEAST", 1)
    monkeypatch.setattr(warmup, "HELD_SHARE", 0.2)
    left_out, wheel = [], made.flywheel
    original = wheel.warm_up_epoch
    wheel.warm_up_epoch = lambda held_out=None: left_out.append(held_out) or original(held_out)
    wheel.held_out_record = lambda held_out: torch.arange(40) < agreement[len(left_out) - 1]
    return made, left_out


def test_a_warm_up_ends_when_the_agreement_on_held_out_rows_stops_rising(monkeypatch):
    made, left_out = watched(monkeypatch, [*range(2, 28, 2), *[26] * 30])
    made.start()
    assert made.n_warmup_epochs == len(left_out) == 18  # it rose to its 13th epoch
    assert made.flywheel.has_held_out and not started().flywheel.has_held_out
    assert [len(rows) for rows in left_out[0]] == [2, 2]
    assert len(set(torch.cat(left_out[0]).tolist())) == 4
    assert all(now is left_out[0] for now in left_out)


def test_a_warm_up_that_still_rises_ends_after_thirty_epochs(monkeypatch):
    made, left_out = watched(monkeypatch, range(1, 40))
    monkeypatch.setattr(warmup, "still_rising", lambda before, now: True)
    made.start()
    assert made.n_warmup_epochs == 30


def test_rows_of_weight_zero_are_never_held_out(monkeypatch):
    weights = WEIGHTS.clone()
    weights[[0, 1, 2, 3]] = 0
    made, left_out = watched(monkeypatch, [20] * 30, sample_weight=weights)
    made.start()
    assert [len(rows) for rows in left_out[0]] == [1, 1] and int(torch.cat(left_out[0]).min()) > 3


def test_a_warm_up_whose_loss_is_not_finite_is_an_error():
    made = run()
    made.flywheel.warm_up_epoch = lambda held_out=None: math.inf
    with pytest.raises(DivergenceError, match="The loss became inf in warm-up epoch 1"):
        made.start()


def test_a_warm_up_goes_on_with_the_rows_it_held_out(monkeypatch):
    agreement = [*range(2, 28, 2), *[26] * 30]
    made, left_out = watched(monkeypatch, agreement)
    made.checkpoints.when = lambda seconds: True
    made.start()
    saved = made.checkpoints.all[4]
    assert saved["epoch"] == len(saved["agreement"]) == 5
    again, left_out_again = watched(monkeypatch, agreement[5:])
    again.checkpoints = Kept(saved)
    again.start()
    assert again.n_warmup_epochs == made.n_warmup_epochs and len(left_out_again) == made.n_warmup_epochs - 5
    assert all(torch.equal(a, b) for a, b in zip(left_out_again[0], left_out[0], strict=True))
    assert_close(logits_of(again.flywheel.aux), logits_of(made.flywheel.aux))


@pytest.mark.parametrize(("asked", "held_out"), [(3, None), ("auto", None), ("auto", [])])
def test_a_saved_warm_up_knows_what_nets_leave_out(asked, held_out):
    made, other = (flywheel(n_warmup_epochs=asked) for _ in range(2))
    made.hold_out = lambda: held_out
    other.hold_out = lambda: [torch.tensor([1])]
    made.held_out_record = lambda held_out: torch.arange(3.0)
    first = WarmUp(made, ALONE)
    first.train_epoch()
    saved = first.state_dict()
    again = WarmUp(other, ALONE)
    again.load_state_dict(saved)
    assert saved["phase"] == "warm-up" and again.epoch == 1 and again.held_out == held_out
    assert other.has_held_out is (held_out is not None) is made.has_held_out
    assert [record.tolist() for record in again.records] == ([] if held_out is None else [[0.0, 1.0, 2.0]])
