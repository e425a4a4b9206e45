"""Fitted attributes from a state made by hand: ten rows less seven."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from noisyflywheel.em import bayes_posterior
from noisyflywheel.estimator.result import fitted_arrays
from noisyflywheel.loop.closing import clean_posterior, close_cycles
from noisyflywheel.loop.state import FlywheelState

GIVEN = torch.tensor([0, 1, 1])
F_PROB = torch.tensor([[0.5, 0.5], [0.25, 0.75], [1.0, 0.0]])
Q = torch.tensor([0.5, 0.0, 0.25], dtype=torch.float64)
REFURBISHED = np.array([[0.75, 0.25], [0.25, 0.75], [0.75, 0.25]])


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.fixture
def state():
    """After three cycles, the later two of which count; the last row was in none of those."""
    s = FlywheelState.start(GIVEN, 2, 0.7)
    s.q, s.f_prob = Q.clone(), F_PROB.clone()
    s.quality_sum, s.n_scored = double(1.5, 0.6, 0.0), double(3, 3, 0)
    s.q_sum, s.f_given_sum, s.n_late = double(0.8, 0.2, 0.0), double(1.0, 1.6, 0.0), double(2, 2, 0)
    return s


def test_arrays_by_hand(state):
    found = fitted_arrays(close_cycles(state))
    assert_allclose(found["label_quality_"], [0.5, 0.2, 0.0])
    assert_allclose(found["refurbished_proba_"], REFURBISHED)
    assert_allclose(found["transition_matrix_"], [[0.75 / 1.75, 1 / 1.75], [0.2, 0.8]])
    assert_allclose(found["corruption_matrix_"], [[0.2, 0.8], [0.25, 0.75]])
    assert found["clean_rate_"] == pytest.approx(0.7)
    assert_allclose(found["_train_proba"], F_PROB)
    assert np.array_equal(np.argsort(found["clean_proba_"]), [2, 1, 0])  # as the label quality ranks


def test_weights_count_in_both_matrices(state):
    found = fitted_arrays(close_cycles(state, double(1.0, 2.0, 0.0)))
    assert_allclose(found["transition_matrix_"], [[0.6, 0.4], [1 / 7, 6 / 7]])
    assert_allclose(found["corruption_matrix_"], [[1 / 3, 2 / 3], [1 / 7, 6 / 7]], rtol=1e-6)
    assert_allclose(found["label_quality_"], [0.5, 0.2, 0.0])


def test_rounding_leaves_no_quality_below_0_or_above_1(state):
    state.quality_sum = double(3.0000001, -1e-9, 0.0)
    assert fitted_arrays(close_cycles(state))["label_quality_"].tolist() == [1.0, 0.0, 0.0]


def test_clean_posterior_is_seven_tenths_eq_11_and_three_tenths_bayes_rule(state):
    """Means of the later cycles: q .4, .1 and f .5, .8; the row that none of them saw has Eq. (11) of now."""
    T = torch.tensor([[0.8, 0.2], [0.3, 0.7]], dtype=torch.float64)
    eq_11 = double(0.4 + 0.6 * 0.5, 0.1 + 0.9 * 0.8, 0.25)
    bayes = bayes_posterior(F_PROB.double(), T, GIVEN)
    assert_allclose(bayes, [0.4 / 0.55, 0.525 / 0.575, 0.0])
    found = clean_posterior(state, torch.from_numpy(REFURBISHED), T)
    assert_allclose(found, 0.7 * eq_11 + 0.3 * bayes)


def test_clean_proba_has_the_level_of_the_posterior(state):
    found = fitted_arrays(close_cycles(state))
    T = torch.from_numpy(found["transition_matrix_"])
    posterior = clean_posterior(state, torch.from_numpy(REFURBISHED), T)
    assert abs(found["clean_proba_"].mean() - float(posterior.mean())) < 1e-3
