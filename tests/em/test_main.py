"""Eqs. (4)-(7): the EM cycle of the main network, by hand, by gradient and as a theorem."""

import math

import pytest
import torch

from noisyflywheel.em import (
    clean_posterior,
    expected_log_likelihood,
    objective,
    reweighted_cross_entropy,
    update_clean_rate,
)
from noisyflywheel.em.main import EPS_MIN, GAMMA_MIN, PROB_MIN, weighted_average

G = torch.tensor([0.8, 0.1], dtype=torch.float64)
Q = torch.tensor([0.96, 0.75], dtype=torch.float64)


# Eq. (4)


def test_clean_posterior_by_hand():
    torch.testing.assert_close(clean_posterior(G, 0.75, 0.1), Q)  # .6 / .625 and .075 / .1


def test_clean_posterior_takes_an_eps_per_row():
    q = clean_posterior(G, 0.5, torch.tensor([0.2, 0.4], dtype=torch.float64))
    torch.testing.assert_close(q, torch.tensor([0.8, 0.2], dtype=torch.float64))


def test_clean_posterior_of_tiny_probabilities_keeps_its_odds():
    """In the plain form both terms of the denominator vanish in float32; in log space the odds survive."""
    q = clean_posterior(torch.tensor([1e-29]), 0.5, 1e-6)
    assert float(q) == pytest.approx(1e-23, rel=1e-3)


@pytest.mark.parametrize(
    ("g", "gamma", "eps", "expected"),
    [
        (0.0, 0.5, 0.1, 0.0),
        (0.5, 0.0, 0.5, GAMMA_MIN),
        (0.5, 1.0, 0.5, 1 - GAMMA_MIN),
        (0.5, 0.5, 0.0, 0.5 / (0.5 + EPS_MIN)),
        (0.0, 1.0, 0.0, 0.0),
    ],
)
def test_clean_posterior_at_the_ends(g, gamma, eps, expected):
    q = clean_posterior(torch.tensor([g], dtype=torch.float64), gamma, eps)
    assert float(q) == pytest.approx(expected, abs=1e-12)


def test_bounds_are_those_of_the_docs():
    assert (GAMMA_MIN, EPS_MIN, PROB_MIN) == (1e-4, 1e-6, 1e-30)


def test_clean_posterior_floors_g_at_1e_30_and_eps_at_1e_6():
    q = clean_posterior(torch.tensor([0.0, 1.0], dtype=torch.float64), 0.5, torch.tensor([1.0, 0.0]).double())
    torch.testing.assert_close(q, torch.tensor([1e-30, 1 / (1 + 1e-6)], dtype=torch.float64), rtol=1e-9, atol=0)


def test_clean_posterior_has_the_precision_of_g():
    q = clean_posterior(G.float(), torch.tensor(0.75, dtype=torch.float64), torch.tensor([0.1, 0.1]).double())
    assert q.dtype == torch.float32
    q = clean_posterior(G, torch.tensor(0.75), torch.tensor([0.1, 0.1]))
    assert q.dtype == torch.float64


# Eqs. (5) and (6)


def test_expected_log_likelihood_by_hand():
    value = expected_log_likelihood(torch.tensor([1.0, 0.5]).double(), G, 0.75, 0.1)
    assert float(value) == pytest.approx((math.log(0.6) + 0.5 * math.log(0.075) + 0.5 * math.log(0.025)) / 2)


def test_expected_log_likelihood_of_impossible_labels_by_hand():
    impossible, sure = torch.tensor([0.0]), torch.tensor([1.0])
    floor = pytest.approx(math.log(1e-30), rel=1e-6)
    assert float(expected_log_likelihood(torch.tensor([1.0]), impossible, 0.5, 0.5)) == floor
    assert float(expected_log_likelihood(torch.tensor([0.0]), sure, 0.5, 0.0)) == floor
    assert float(expected_log_likelihood(torch.tensor([1.0]), sure, 1.0, 0.5)) == 0
    assert float(expected_log_likelihood(torch.tensor([0.0]), sure, 0.0, 1.0)) == 0


def test_expected_log_likelihood_has_the_precision_of_g():
    gamma, eps = torch.tensor(0.75, dtype=torch.float64), torch.tensor([0.1, 0.1], dtype=torch.float64)
    assert expected_log_likelihood(Q.float(), G.float(), gamma, eps).dtype == torch.float32


def test_expected_log_likelihood_is_finite_at_the_ends():
    for gamma in (0.0, 1.0):
        for q in (0.0, 1.0):
            value = expected_log_likelihood(torch.tensor([q]), torch.tensor([0.0]), gamma, 0.0)
            assert math.isfinite(float(value))


def test_expected_log_likelihood_is_a_bound_touched_by_the_posterior():
    """Objective (3) = Eq. (5) + entropy of q at Eq. (4)'s q, and lies above it at any other q."""

    def bound(q):
        entropy = -(torch.xlogy(q, q) + torch.xlogy(1 - q, 1 - q)).mean()
        return float(expected_log_likelihood(q, G, 0.75, 0.1) + entropy)

    value = float(objective(G, 0.75, 0.1))
    assert bound(Q) == pytest.approx(value)
    assert bound(torch.tensor([0.5, 0.5], dtype=torch.float64)) < value
    assert bound(Q.flip(0)) < value


def test_update_clean_rate_by_hand_and_clipped():
    assert float(update_clean_rate(Q)) == pytest.approx(0.855)
    assert float(update_clean_rate(torch.zeros(3))) == pytest.approx(GAMMA_MIN)
    assert float(update_clean_rate(torch.ones(3))) == pytest.approx(1 - GAMMA_MIN)


def test_weighted_average_by_hand():
    values = torch.tensor([1.0, 2.0, 4.0])
    assert float(weighted_average(values, torch.tensor([1.0, 0.0, 3.0]))) == 3.25
    assert float(weighted_average(values)) == pytest.approx(7 / 3)
    assert float(update_clean_rate(Q, torch.tensor([2.0, 1.0]))) == pytest.approx((2 * 0.96 + 0.75) / 3)


def test_update_clean_rate_maximises_the_expected_log_likelihood():
    best = float(expected_log_likelihood(Q, G, float(update_clean_rate(Q)), 0.1))
    for gamma in (0.1, 0.5, 0.8, 0.85, 0.86, 0.95):
        assert float(expected_log_likelihood(Q, G, gamma, 0.1)) < best


# Eq. (7)


def test_reweighted_cross_entropy_by_hand():
    log_g = torch.log(torch.tensor([[0.8, 0.2], [0.9, 0.1]], dtype=torch.float64))
    loss = reweighted_cross_entropy(log_g, torch.tensor([0, 1]), torch.tensor([1.0, 0.5]).double())
    assert float(loss) == pytest.approx(-(math.log(0.8) + 0.5 * math.log(0.1)) / 2)


def test_reweighted_cross_entropy_gradient():
    """With respect to the logits of row i it is q_i (g_i - onehot) / N: no pull from corrupted rows."""
    logits = torch.tensor([[0.3, -0.2], [1.0, 0.5]], dtype=torch.float64, requires_grad=True)
    q = torch.tensor([0.7, 0.0], dtype=torch.float64)
    reweighted_cross_entropy(torch.log_softmax(logits, 1), torch.tensor([1, 0]), q).backward()
    g = torch.softmax(logits.detach(), 1)
    expected = q[:, None] * (g - torch.tensor([[0.0, 1.0], [1.0, 0.0]])) / 2
    torch.testing.assert_close(logits.grad, expected)


def test_reweighted_cross_entropy_of_an_impossible_label_counts_by_its_weight():
    log_g = torch.tensor([[0.0, -torch.inf], [math.log(0.8), math.log(0.2)]], requires_grad=True)
    loss = reweighted_cross_entropy(log_g, torch.tensor([1, 0]), torch.tensor([0.0, 1.0]))
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(0.8) / 2) and log_g.grad.tolist() == [[0, 0], [-0.5, 0]]
    assert reweighted_cross_entropy(log_g, torch.tensor([1, 0]), torch.tensor([0.1, 1.0])).item() == math.inf


# the theorem


def tabular_em(seed, n_inputs=6, n_classes=4, n=300, n_iter=200):
    """EM of Eqs. (4), (6) and (7) in closed form for a table g; yields objective (3) before each cycle."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randint(n_inputs, (n,), generator=rng)
    given = torch.randint(n_classes, (n,), generator=rng)
    given = torch.where(torch.rand(n, generator=rng) < 0.6, x % n_classes, given)
    eps = torch.rand(n, generator=rng, dtype=torch.float64) * 0.9 + 0.05
    table = torch.softmax(2 * torch.randn(n_inputs, n_classes, generator=rng).double(), 1)
    gamma = torch.rand((), generator=rng, dtype=torch.float64)
    for _ in range(n_iter):
        yield float(objective(table[x, given], gamma, eps))
        q = clean_posterior(table[x, given], gamma, eps)
        gamma = update_clean_rate(q)
        mass = torch.zeros_like(table).index_put_((x, given), q, accumulate=True)
        table = mass / mass.sum(1, keepdim=True)


@pytest.mark.parametrize("seed", range(20))
def test_tabular_em_never_lowers_the_objective(seed):
    values = torch.tensor(list(tabular_em(seed)), dtype=torch.float64)
    assert (values.diff() >= -1e-12).all()
    assert values[-1] > values[0]


def test_closed_form_of_the_table_minimises_the_reweighted_cross_entropy():
    rng = torch.Generator().manual_seed(0)
    given = torch.randint(3, (40,), generator=rng)
    q = torch.rand(40, generator=rng, dtype=torch.float64)
    best = torch.zeros(3, dtype=torch.float64).index_add_(0, given, q) / q.sum()
    least = float(reweighted_cross_entropy(best.log().expand(40, 3), given, q))
    for _ in range(20):
        other = torch.softmax(best.log() + 0.1 * torch.randn(3, generator=rng).double(), 0)
        assert float(reweighted_cross_entropy(other.log().expand(40, 3), given, q)) > least
