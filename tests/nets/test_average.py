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
