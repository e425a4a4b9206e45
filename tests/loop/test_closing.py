"""What the last E-step says, by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.loop.closing import close_cycles, log_odds, mixed, through_transition, with_even_errors
from noisyflywheel.loop.state import FlywheelState

GIVEN = torch.tensor([0, 1, 1])
F_PROB = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]], dtype=torch.float64)


def state():
    s = FlywheelState.start(GIVEN, 2, 0.6)
    s.f_prob, s.q = F_PROB.clone(), torch.tensor([0.5, 0.0, 1.0], dtype=torch.float64)
    s.transition = torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64)
    return s


def test_cycles_close_with_eq_11():
    s = state()
    s.quality_sum, s.n_scored = torch.tensor([0.9, 1.0, 2.4]).double(), torch.tensor([1, 2, 3]).double()
    closing = close_cycles(s)
    assert_close(closing.refurbished, torch.tensor([[0.95, 0.05], [0.5, 0.5], [0.0, 1.0]]).double())
    assert_close(closing.quality, torch.tensor([0.9, 0.5, 0.8]).double())
    T = torch.tensor([[0.95 / 1.45, 0.5 / 1.45], [0.05 / 1.55, 1.5 / 1.55]]).double()
    assert_close(closing.transition, T)
    bayes = 0.9 * T[0, 0] / (0.9 * T[0, 0] + 0.1 * T[1, 0])
    assert_close(closing.posterior[0], 0.7 * 0.95 + 0.3 * bayes)  # no late cycle: the last Eq. (11)


def test_late_cycles_set_the_level():
    s = state()
    s.q_sum, s.f_given_sum, s.n_late = (torch.full((3,), v).double() for v in (1.0, 0.5, 2.0))
    closing = close_cycles(s)
    bayes = close_cycles(state()).posterior - 0.7 * torch.tensor([0.95, 0.5, 1.0])
    assert_close(closing.posterior, 0.7 * (0.5 + 0.5 * 0.25) + bayes)


def test_sample_weights_count_in_the_matrices():
    weights = torch.tensor([1.0, 0.0, 2.0]).double()
    assert_close(close_cycles(state(), weights).transition[1], torch.tensor([0.05, 2.0]).double() / 2.05)


def test_labels_through_transition():
    closing = through_transition(F_PROB, state())
    assert_close(closing.posterior, torch.tensor([0.72 / 0.76, 0.3 / 0.4, 0.48 / 0.52]).double())
    assert closing.clean_rate == pytest.approx(float(closing.posterior.mean()))


def test_even_errors_on_labels_that_fit_their_predictions_are_few():
    """Confident predictions that agree with 90 of 100 labels: the other ten are suspected."""
    prob = torch.full((100, 2), 0.01, dtype=torch.float64)
    given = torch.zeros(100, dtype=torch.int64)
    prob[:, 0] = 0.99
    given[:10] = 1
    closing = with_even_errors(prob, given)
    assert float(closing.posterior[:10].max()) < 0.5 < float(closing.posterior[10:].min())
    assert float((1 - closing.posterior).sum()) == pytest.approx(10, abs=3)
    assert_close(closing.transition.sum(1), torch.ones(2).double())


def test_mixing():
    after, before = through_transition(F_PROB, state()), with_even_errors(F_PROB, GIVEN)
    half = mixed(after, before, 0.5, 0.25)
    assert_close(half.posterior, (after.posterior + before.posterior) / 2)
    odds = (0.5 * log_odds(after.quality) + log_odds(before.quality)) / 1.5
    assert_close(half.quality, torch.sigmoid(odds))
    assert_close(mixed(after, before, 0.0, 0.0).quality, before.quality)
    assert_close(mixed(after, before, 1.0, 0.0).transition, after.transition)


def test_log_odds_are_finite():
    assert log_odds(torch.tensor([0.0, 0.5, 1.0]).double()).isfinite().all()
    assert float(log_odds(torch.tensor(0.75))) == pytest.approx(math.log(3))
