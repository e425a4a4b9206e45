"""The EM state after the warm-up, its sums, and its copies."""

import torch
from tables import settings
from torch.testing import assert_close

from noisyflywheel.loop.state import FlywheelState

GIVEN = torch.tensor([0, 2, 1, 2])


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def start():
    return FlywheelState.start(GIVEN, 3, 0.6)


def test_state_after_the_warm_up():
    s = start()
    assert_close(s.gamma, torch.tensor(0.6, dtype=torch.float64))
    assert_close(s.q, double(0.6, 0.6, 0.6, 0.6))
    assert_close(s.eps, torch.full((4,), 1 / 3, dtype=torch.float64))
    assert_close(s.f_prob, torch.full((4, 3), 1 / 3))
    assert_close(s.transition, torch.full((3, 3), 1 / 3, dtype=torch.float64))
    assert_close(s.corruption, s.transition)
    assert torch.equal(s.y_hat, GIVEN) and s.y_hat is not GIVEN and s.given is GIVEN
    for name in ("quality_sum", "n_scored", "q_sum", "f_given_sum", "n_late"):
        assert_close(getattr(s, name), double(0, 0, 0, 0))
    assert (s.temperature, s.cycle, s.n_classes) == (1.0, 0, 3)


def test_a_prediction_of_ones_own_is_kept_as_it_is():
    f_prob = torch.full((4, 3), 1 / 3, dtype=torch.float16)
    assert FlywheelState.start(GIVEN, 3, 0.6, f_prob).f_prob is f_prob


def test_what_settings_leave_out():
    assert settings().distribution_alignment == 0.0 and settings().n_rounds == 1


def test_no_two_parts_of_the_state_share_memory():
    tensors = [value for value in vars(start()).values() if isinstance(value, torch.Tensor)]
    assert len({tensor.data_ptr() for tensor in tensors}) == len(tensors) == 13


def test_the_state_is_made_where_the_labels_are():
    s = FlywheelState.start(GIVEN.to("meta"), 3, 0.6)
    assert {value.device.type for value in vars(s).values() if isinstance(value, torch.Tensor)} == {"meta"}


def test_scores_are_summed_over_the_cycles_that_saw_a_row():
    s = start()
    s.add_score(torch.tensor([0, 3]), double(0.5, 0.25))
    s.add_score(torch.tensor([3, 1]), double(0.5, 1.0))
    assert_close(s.quality_sum, double(0.5, 1.0, 0.0, 0.75))
    assert_close(s.n_scored, double(1, 1, 0, 2))


def test_posteriors_are_summed_by_row():
    s = start()
    s.q = double(0.1, 0.2, 0.3, 0.4)
    s.f_prob = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1], [0.25, 0.25, 0.5]])
    rows = torch.tensor([1, 2])
    for _ in range(2):
        s.add_posterior(rows, GIVEN[rows])
    assert_close(s.q_sum, double(0, 0.4, 0.6, 0))
    assert_close(s.f_given_sum, double(0, 1.6, 1.4, 0), rtol=1e-6, atol=0)
    assert_close(s.n_late, double(0, 2, 2, 0))


def test_a_saved_state_does_not_move_with_the_loop_and_comes_back():
    s = start()
    s.cycle, s.temperature = 3, 2.0
    saved = s.state_dict()
    s.q += 1
    s.y_hat[0] = 2
    s.cycle, s.temperature = 4, 1.0
    s.load_state_dict(saved)
    assert_close(s.q, double(0.6, 0.6, 0.6, 0.6))
    assert torch.equal(s.y_hat, GIVEN) and (s.cycle, s.temperature) == (3, 2.0)
    s.q += 1
    assert_close(saved["q"], double(0.6, 0.6, 0.6, 0.6))  # nor after it was put back


def test_a_saved_state_comes_back_to_the_device_of_the_present_one():
    s = FlywheelState.start(GIVEN.to("meta"), 3, 0.6)
    saved = start().state_dict()
    saved.pop("given")
    s.load_state_dict(saved)
    assert s.q.device.type == s.f_prob.device.type == "meta"
