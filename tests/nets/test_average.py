"""The moving average of a net's weights."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from noisyflywheel.nets.average import WeightAverage


class Counting(nn.Linear):
    """Has an extra state that is no tensor."""

    seen = 0

    def get_extra_state(self):
        return {"seen": self.seen}

    def set_extra_state(self, state):
        self.seen = state["seen"]


def test_the_first_steps_forget_faster():
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    average, expected = WeightAverage(module, 4.0), 0.0
    for step in range(1, 30):
        module.weight.data.fill_(float(step))
        average.update()
        keep = min(0.75, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * step
    assert float(average.mean[0]) == pytest.approx(expected)


class Assigning(nn.Module):
    """Has a buffer that each forward sets anew, and complex weights."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))
        self.turn = nn.Parameter(torch.zeros(1, dtype=torch.cfloat))

    def forward(self, x):
        self.seen = 0.5 * self.seen + x
        return self.turn * x


def test_what_is_assigned_anew_and_what_is_complex_is_averaged():
    module = Assigning()
    average = WeightAverage(module, 4.0)
    for step in range(1, 4):
        module(torch.ones(1))
        module.turn.data = torch.full((1,), step * 1j)
        average.update()
    weights = [2 / 11, 3 / 12, 4 / 13]  # kept of the average in each step
    seen, turn = 0.0, 0.0
    for keep, new_seen, new_turn in zip(weights, (1.0, 1.5, 1.75), (1j, 2j, 3j), strict=True):
        seen, turn = keep * seen + (1 - keep) * new_seen, keep * turn + (1 - keep) * new_turn
    with average.swapped():
        assert_close(module.seen, torch.tensor([seen]))
        assert_close(module.turn.detach(), torch.tensor([turn]))
    assert_close(module.seen, torch.tensor([1.75]))
    average.copy_to_module()
    assert_close(module.seen, torch.tensor([seen]))
    assert_close(module.turn.detach(), torch.tensor([turn]))


def test_own_weights_come_back_after_an_error():
    module = nn.BatchNorm1d(2)
    average = WeightAverage(module, 2.0)
    module.weight.data.fill_(3.0)
    with pytest.raises(KeyError), average.swapped():
        assert_close(module.weight.detach(), torch.ones(2))
        raise KeyError
    assert_close(module.weight.detach(), torch.full((2,), 3.0))
    assert len(average.mean) == 4  # the count of batches has no average


def test_an_extra_state_that_is_no_tensor_is_left_alone():
    module = Counting(2, 2)
    average = WeightAverage(module, 2.0)
    average.update()
    average.copy_to_module()
    assert len(average.mean) == 2 and module.seen == 0


class OwnState(nn.Linear):
    """Says without arguments what it holds."""

    def state_dict(self):
        return {"weight": self.weight.data}


def test_each_of_several_modules_says_what_it_has():
    first, second = OwnState(1, 1), nn.Linear(1, 1)
    average = WeightAverage(nn.ModuleList([first, second]), 4.0)
    assert len(average.mean) == 3
    before = average.state_dict()
    with pytest.raises(ValueError, match="averages of other weights, such as of one module where a net has several"):
        WeightAverage(second, 4.0).load_state_dict(before)
