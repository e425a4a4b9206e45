"""Eqs. (1)-(3): the mixture of clean manifold and corrupted labels."""

import math

import pytest
import torch

from noisyflywheel.em import given_label_likelihood, joint_likelihood, objective

G = torch.tensor([0.8, 0.1], dtype=torch.float64)


def test_given_label_likelihood_by_hand():
    p = given_label_likelihood(G, 0.75, 0.1)
    torch.testing.assert_close(p, torch.tensor([0.625, 0.1], dtype=torch.float64))


def test_given_label_likelihood_takes_an_eps_per_row():
    p = given_label_likelihood(G, torch.tensor(0.75, dtype=torch.float64), torch.tensor([0.4, 0.2]).double())
    torch.testing.assert_close(p, torch.tensor([0.7, 0.125], dtype=torch.float64), atol=1e-7, rtol=0)


def test_ends_of_gamma_leave_one_component():
    torch.testing.assert_close(given_label_likelihood(G, 1.0, 0.3), G)
    torch.testing.assert_close(given_label_likelihood(G, 0.0, 0.3), torch.full_like(G, 0.3))


def test_mixture_over_all_labels_sums_to_one():
    g = torch.softmax(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double(), 1)
    total = sum(given_label_likelihood(g[:, k], 0.3, 0.25) for k in range(4))
    torch.testing.assert_close(total, torch.ones(5, dtype=torch.float64))


def test_joint_likelihood_by_hand():
    joint = joint_likelihood(torch.tensor([0.5, 0.25], dtype=torch.float64), G, 0.75, 0.1)
    torch.testing.assert_close(joint, torch.tensor([0.3125, 0.025], dtype=torch.float64))


def test_objective_by_hand():
    assert float(objective(G, 0.75, 0.1)) == pytest.approx((math.log(0.625) + math.log(0.1)) / 2)


def test_objective_with_weights_by_hand():
    value = objective(G, 0.75, 0.1, sample_weight=torch.tensor([3.0, 1.0], dtype=torch.float64))
    assert float(value) == pytest.approx((3 * math.log(0.625) + math.log(0.1)) / 4)


def test_objective_of_an_impossible_label_is_finite():
    assert float(objective(torch.zeros(1), 1.0, 0.5)) == pytest.approx(math.log(1e-30), rel=1e-6)


def test_objective_gradient_is_the_posterior_over_g():
    """d/dg_i of objective (3) is q_i / (N g_i): the identity behind the E-step."""
    g = G.clone().requires_grad_()
    objective(g, 0.75, 0.1).backward()
    q = torch.tensor([0.96, 0.75], dtype=torch.float64)
    torch.testing.assert_close(g.grad, q / (2 * G))
