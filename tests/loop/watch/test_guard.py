"""The guard's eyes: class proportions of y^ and the fall of gamma, on labels made by hand."""

import math

import pytest
import torch
from tables import settings
from torch.testing import assert_close

from noisyflywheel.exceptions import DivergenceError, FlywheelWarning
from noisyflywheel.loop.watch import guard as module
from noisyflywheel.loop.watch.guard import Guard, cautious_settings, check_finite, class_shares, warn_of_turning

CPU = torch.device("cpu")


def labels(*counts):
    """So many of each class."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))


def halves(first_gamma=0.8):
    """A guard after a warm-up with two equal classes."""
    return Guard([torch.tensor([0.5, 0.5], dtype=torch.float64)] * 2, first_gamma)


def test_class_shares_by_hand():
    assert_close(class_shares(torch.tensor([0, 2, 2, 2]), 4), torch.tensor([0.25, 0, 0.75, 0], dtype=torch.float64))
    assert_close(class_shares(torch.tensor([1]), 2), torch.tensor([0, 1], dtype=torch.float64))
    assert_close(class_shares(torch.tensor([], dtype=torch.int64), 2), torch.zeros(2, dtype=torch.float64))


def test_a_guard_compares_with_labels_and_prediction_after_the_warm_up():
    given = torch.tensor([0, 0, 1, 1])
    f_prob = torch.tensor([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0], [0.0, 0.4, 0.6]])
    guard = Guard.after_warm_up(given, f_prob.argmax(1), f_prob.shape[1], torch.tensor(0.75))
    assert_close(guard.references[0], torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64))
    assert_close(guard.references[1], torch.tensor([0.75, 0.0, 0.25], dtype=torch.float64))
    assert len(guard.references) == 2
    assert isinstance(guard.first_gamma, float) and guard.first_gamma == 0.75 and not guard.has_gone_back


def test_labels_that_change_within_their_proportions_are_no_complaint():
    guard = halves()
    assert guard.complaint(labels(100, 100), 0.8, True) is None
    assert guard.complaint(labels(100, 100).flip(0), 0.8, True) is None
    assert guard.complaint(labels(158, 42), 0.8, True) is None  # off by .29


def test_a_class_that_takes_over_is_a_complaint_at_any_time():
    for after_ramp in (False, True):
        found = halves().complaint(labels(162, 38), 0.8, after_ramp)
        assert found == "the class proportions of the resampled labels are off by 31%"
    assert halves().complaint(labels(0, 200), 0.8, True) == (
        "the class proportions of the resampled labels are off by 50%"
    )


def test_one_of_the_two_references_is_enough():
    unequal = torch.tensor([0.9, 0.1], dtype=torch.float64)
    for references in ([unequal, 1 - unequal], [1 - unequal, unequal]):
        assert Guard(references, 0.8).complaint(labels(180, 20), 0.8, True) is None
        assert Guard(references, 0.8).complaint(labels(100, 100), 0.8, True) is not None


def test_few_rows_say_nothing():
    assert halves().complaint(labels(199), 0.0, True) is None
    assert halves().complaint(labels(200, 0), 0.8, True) is not None


def test_gamma_may_fall_to_a_third_of_its_start_once_lambda_has_its_weight():
    calm = labels(100, 100)
    assert halves(0.9).complaint(calm, 0.3, True) is None
    assert halves(0.9).complaint(calm, 0.29, True) == "gamma fell from 0.90 to 0.29"
    assert halves(0.9).complaint(calm, 0.29, False) is None
    assert halves(1.0).complaint(calm, 0.33, True) is None


def test_a_drift_of_just_the_most_is_allowed(monkeypatch):
    monkeypatch.setattr(module, "DRIFT_MOST", 0.25)
    assert halves().complaint(labels(150, 50), 0.8, True) is None
    assert halves().complaint(labels(151, 49), 0.8, True) is not None


def test_a_guard_survives_a_checkpoint():
    guard = halves(0.7)
    guard.has_gone_back = True
    again = Guard.from_state_dict(guard.state_dict(), CPU)
    assert (again.first_gamma, again.has_gone_back) == (0.7, True)
    assert_close(again.references, guard.references)
    meta = Guard.from_state_dict(guard.state_dict(), torch.device("meta"))
    assert meta.references[0].device.type == "meta"


def test_cautious_settings():
    bold = settings(cr_weight=3.0, mixup_alpha=4.0, resample="argmax", calibrate=False, n_cycles=7)
    held_back = cautious_settings(bold, 0.6)
    assert held_back.cr_weight == pytest.approx(0.4)
    assert held_back == settings(
        cr_weight=held_back.cr_weight, mixup_alpha=0.0, resample="posterior", calibrate=True, n_cycles=7
    )
    assert cautious_settings(settings(cr_weight=0.25), 0.6).cr_weight == 0.25
    assert bold.cr_weight == 3.0  # a copy


@pytest.mark.parametrize("name", ["main_loss", "gamma", "f_entropy", "auxiliary_loss"])
def test_a_figure_that_is_not_finite_is_an_error(name):
    row = {"main_loss": 1.0, "gamma": 0.5, "f_entropy": 0.1, "auxiliary_loss": 2.0, "cycle": 7, "other": math.nan}
    check_finite(row, True)
    with pytest.raises(DivergenceError, match=f"{name} became nan in cycle 7"):
        check_finite(row | {name: math.nan}, True)


def test_without_f_there_is_no_loss_of_f():
    check_finite({"main_loss": 1.0, "gamma": 0.5, "f_entropy": 0.1, "auxiliary_loss": math.nan, "cycle": 7}, False)


def test_a_loop_that_turned_is_told():
    with pytest.warns(FlywheelWarning, match=r"itself: gamma fell\. Look at history_, .* or more data; guard=False"):
        warn_of_turning("gamma fell")
