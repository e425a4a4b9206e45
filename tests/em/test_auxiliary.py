"""Eqs. (10)-(12): the EM cycle of the auxiliary network."""

import math

import pytest
import torch

from noisyflywheel.em import (
    auxiliary_likelihood,
    marginal_true_class,
    posterior_through,
    refurbish,
    rescaled,
    share_factors,
    transition_matrix,
)

F_PROB = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], dtype=torch.float64)
GIVEN = torch.tensor([0, 1])
Q = torch.tensor([0.6, 0.25], dtype=torch.float64)


def test_marginal_true_class_by_hand():
    clean = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[0.8, 0.12, 0.08], [0.075, 0.325, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(marginal_true_class(Q, clean, F_PROB), expected)


def test_refurbish_by_hand_and_equal_to_eq_10():
    expected = torch.tensor([[0.8, 0.12, 0.08], [0.075, 0.325, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(refurbish(Q, GIVEN, F_PROB), expected)
    onehot = torch.nn.functional.one_hot(GIVEN, 3).double()
    torch.testing.assert_close(refurbish(Q, GIVEN, F_PROB), marginal_true_class(Q, onehot, F_PROB))


def test_refurbish_at_both_ends():
    torch.testing.assert_close(refurbish(torch.zeros(2).double(), GIVEN, F_PROB), F_PROB)
    onehot = torch.nn.functional.one_hot(GIVEN, 3).double()
    torch.testing.assert_close(refurbish(torch.ones(2).double(), GIVEN, F_PROB), onehot)


def test_refurbish_leaves_its_arguments_and_mixes_precisions():
    f32 = F_PROB.float()
    before = f32.clone()
    mixed = refurbish(Q, GIVEN, f32)
    assert mixed.dtype == torch.float64
    assert torch.equal(f32, before)
    assert refurbish(Q.float(), GIVEN, f32).dtype == torch.float32
    torch.testing.assert_close(refurbish(Q.float(), GIVEN, F_PROB), mixed, check_dtype=False)


def test_auxiliary_likelihood_by_hand():
    q_y = torch.tensor([[0.5, 0.5]], dtype=torch.float64)
    f_prob = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    T = torch.tensor([[0.7, 0.3], [0.4, 0.6]], dtype=torch.float64)
    value = auxiliary_likelihood(q_y, f_prob, T, torch.tensor([1]))
    assert float(value) == pytest.approx(0.5 * math.log(0.9 * 0.3) + 0.5 * math.log(0.1 * 0.6))


def test_auxiliary_likelihood_is_a_mean_over_rows():
    q_y = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    f_prob = torch.tensor([[0.9, 0.1], [0.3, 0.7]], dtype=torch.float64)
    T = torch.tensor([[0.8, 0.2], [0.4, 0.6]], dtype=torch.float64)
    value = auxiliary_likelihood(q_y, f_prob, T, torch.tensor([1, 0]))
    assert float(value) == pytest.approx((math.log(0.9 * 0.2) + math.log(0.7 * 0.4)) / 2)


def test_auxiliary_likelihood_floors_both_probabilities_at_1e_30():
    value = auxiliary_likelihood(torch.eye(2), torch.eye(2), torch.zeros(2, 2), torch.tensor([0, 1]))
    assert float(value) == pytest.approx(math.log(1e-30), rel=1e-6)
    value = auxiliary_likelihood(torch.eye(2), 1 - torch.eye(2), torch.ones(2, 2), torch.tensor([0, 1]))
    assert float(value) == pytest.approx(math.log(1e-30), rel=1e-6)


def test_auxiliary_likelihood_is_finite_for_impossible_labels():
    value = auxiliary_likelihood(torch.eye(2), torch.eye(2), torch.zeros(2, 2), torch.tensor([0, 1]))
    assert math.isfinite(float(value))


def near(prob, rng):
    """Distributions (n, K) beside these: a maximum that is none is found out there, not far away."""
    return torch.softmax(prob.log() + 0.1 * torch.randn(prob.shape, generator=rng).double(), 1)


def test_transition_matrix_and_f_equal_to_q_maximise_the_likelihood():
    """The two M-steps of Sec. 3.3: f = q_i(y) (Eq. 13) and T in closed form maximise Eq. (12)."""
    rng = torch.Generator().manual_seed(1)
    given = torch.randint(3, (50,), generator=rng)
    f_prob = torch.softmax(torch.randn(50, 3, generator=rng).double(), 1)
    q_y = refurbish(torch.rand(50, generator=rng, dtype=torch.float64), given, f_prob)
    T = transition_matrix(q_y, given)
    best = float(auxiliary_likelihood(q_y, q_y, T, given))
    for _ in range(20):
        assert float(auxiliary_likelihood(q_y, q_y, near(T, rng), given)) < best
        assert float(auxiliary_likelihood(q_y, near(q_y, rng), T, given)) < best


def test_posterior_through_by_hand():
    T = torch.tensor([[0.7, 0.3], [0.4, 0.6]], dtype=torch.float64)
    f_prob = torch.tensor([[0.5, 0.5], [0.2, 0.8]], dtype=torch.float64)
    expected = [[0.15 / 0.45, 0.3 / 0.45], [0.14 / 0.46, 0.32 / 0.46]]
    found = posterior_through(f_prob, T, torch.tensor([1, 0]))
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    single = posterior_through(f_prob.float(), T, torch.tensor([1, 0]))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, torch.tensor(expected))


def test_posterior_through_leaves_the_guess_where_the_label_is_impossible():
    never = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    f_prob = torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    torch.testing.assert_close(posterior_through(f_prob, never, torch.tensor([1])), f_prob)
    varied = f_prob.clone().requires_grad_()
    posterior_through(varied, never, torch.tensor([1])).square().sum().backward()
    torch.testing.assert_close(varied.grad, 2 * f_prob)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_posterior_through_sums_to_1_however_unlikely_the_label_is(dtype):
    hardly = torch.tensor([[1.0, 2e-35], [1.0, 2e-35]], dtype=torch.float64)
    f_prob = torch.tensor([[0.25, 0.75]], dtype=dtype)
    torch.testing.assert_close(posterior_through(f_prob, hardly, torch.tensor([1])), f_prob)


def test_posterior_through_maximises_the_auxiliary_likelihood_less_its_entropy():
    """The E-step of Eq. (12): any other q_i(y) has a lower bound."""
    rng = torch.Generator().manual_seed(2)
    f_prob = torch.softmax(torch.randn(20, 3, generator=rng).double(), 1)
    T = torch.softmax(torch.randn(3, 3, generator=rng).double(), 1)
    given = torch.randint(3, (20,), generator=rng)

    def bound(q_y):
        return float(auxiliary_likelihood(q_y, f_prob, T, given) - torch.xlogy(q_y, q_y).sum(1).mean())

    best = posterior_through(f_prob, T, given)
    for _ in range(20):
        assert bound(near(best, rng)) < bound(best)


def test_share_factors_by_hand():
    factors = share_factors(torch.tensor([0.5, 2.0, 7.5], dtype=torch.float64), torch.tensor([2, 2, 6]))
    torch.testing.assert_close(factors, torch.tensor([3 / 1.5, 3 / 3, 7 / 8.5], dtype=torch.float64))
    weighted = share_factors(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 4.0], dtype=torch.float64))
    torch.testing.assert_close(weighted, torch.tensor([0.5, 1.25]))


def test_rescaled_by_hand():
    found = rescaled(F_PROB, torch.tensor([2.0, 1.0, 0.5]))
    expected = torch.tensor([[1.0 / 1.4, 0.3 / 1.4, 0.1 / 1.4], [0.2 / 0.7, 0.1 / 0.7, 0.4 / 0.7]], dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    assert rescaled(F_PROB.float(), torch.ones(3, dtype=torch.float64)).dtype == torch.float32


def test_predictions_with_the_shares_of_the_labels_stay():
    torch.testing.assert_close(rescaled(F_PROB, share_factors(F_PROB.sum(0), F_PROB.sum(0))), F_PROB)
