"""Learning rates and lambda by plan."""

import math

import pytest

from noisyflywheel.loop.schedules import HOLD, cr_weight_of_cycle, learning_rate_share


def test_learning_rate_holds_and_then_follows_a_cosine():
    assert HOLD == 0.4
    shares = [learning_rate_share(done, 5, 0.4) for done in range(6)]
    assert shares == pytest.approx([1, 1, 1, 0.75, 0.25, 0], abs=1e-12)  # cosine at 0, 1/3, 2/3 and 1
    cosine = [0.5 * (1 + math.cos(math.pi * done / 5)) for done in range(6)]
    assert [learning_rate_share(done, 5, 0.0) for done in range(6)] == pytest.approx(cosine, abs=1e-12)


def test_learning_rate_does_not_rise_again_beyond_the_end():
    assert learning_rate_share(7, 5, 0.4) == pytest.approx(0, abs=1e-12)


def test_ramp_of_lambda():
    assert [cr_weight_of_cycle(done, 3.0, 4) for done in (0, 1, 2, 4, 9)] == [0, 0.75, 1.5, 3, 3]
    assert [cr_weight_of_cycle(done, 3.0, 0) for done in (0, 1)] == [3, 3]
    assert [cr_weight_of_cycle(done, 3.0, 1) for done in (0, 1)] == [0, 3]
