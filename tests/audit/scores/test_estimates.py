import numpy as np
import pytest
from scipy.stats import binom

from noisyflywheel.audit.scores import estimates
from noisyflywheel.audit.scores.estimates import (
    count_distribution,
    estimate_wrong_labels,
    expected_gain,
    rows_to_reach,
)


def test_distribution_by_hand():
    np.testing.assert_allclose(count_distribution(np.array([0.5, 0.2])), [0.4, 0.5, 0.1])


def test_equal_probabilities_are_binomial():
    got = estimate_wrong_labels(np.full(200, 0.7), level=0.9)
    assert got.expected == pytest.approx(60)
    assert (got.low, got.high) == tuple(binom.interval(0.9, 200, 0.3))


def test_certain_labels_leave_no_doubt():
    got = estimate_wrong_labels([1.0, 1.0, 0.0])
    assert (got.expected, got.low, got.high) == (1.0, 1, 1)


def test_the_approximation_of_long_lists_agrees(monkeypatch):
    clean = np.random.default_rng(0).beta(0.3, 0.1, 2000)
    exact = estimate_wrong_labels(clean)
    monkeypatch.setattr(estimates, "EXACT", 0)
    near = estimate_wrong_labels(clean)
    assert abs(near.low - exact.low) <= 1
    assert abs(near.high - exact.high) <= 1


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    clean = rng.beta(0.3, 0.1, 300)
    got = estimate_wrong_labels(clean, level=0.8)
    drawn = (rng.random((4000, 300)) > clean).sum(axis=1)
    inside = ((drawn >= got.low) & (drawn <= got.high)).mean()
    assert 0.79 < inside < 0.86  # whole numbers: a little more than asked for


def test_gain_by_hand():
    clean, order = np.array([0.9, 0.2, 0.4, 1.0]), np.array([1, 2, 0, 3])
    gain = expected_gain(clean, order, 2)
    assert gain.n_rows == 2
    assert gain.n_mended == pytest.approx(1.4)
    assert (gain.before, gain.after) == pytest.approx((0.625, 0.975))


@pytest.mark.parametrize(("share", "n"), [(0.6, 0), (0.8, 1), (0.97, 2), (1.0, 3)])
def test_rows_to_reach_by_hand(share, n):
    assert rows_to_reach(np.array([0.9, 0.2, 0.4, 1.0]), np.array([1, 2, 0, 3]), share) == n


def test_some_shares_are_out_of_reach():
    assert rows_to_reach(np.array([0.0, 0.0]), np.array([1]), 1.0) is None


@pytest.mark.parametrize("clean", [[0.1, np.nan], [0.1, 1.4], [-3.0]])
def test_what_is_no_probability_is_refused(clean):
    with pytest.raises(ValueError, match=rf"row {len(clean) - 1} does not"):
        estimate_wrong_labels(clean)
    with pytest.raises(ValueError, match="level"):
        estimate_wrong_labels([0.1], level=90)


@pytest.mark.parametrize("clean", [0.5, [[0.5, 0.6]], np.zeros((3, 1))])
def test_one_probability_a_row_is_needed(clean):
    with pytest.raises(ValueError, match=r"clean_proba must hold one probability a row, of shape \(n,\); got shape \("):
        estimate_wrong_labels(clean)
