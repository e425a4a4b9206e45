"""Eqs. (8), (9), (13), the contrastive loss, and Lemma 1."""

import math

import pytest
import torch

from noisyflywheel.em.losses import (
    CLAMP,
    confidence_regularizer,
    contrastive_loss,
    cross_entropy,
    limited_weight,
    main_loss,
    soft_target_cross_entropy,
    weighted_mean,
)

# Eqs. (8) and (9)


def test_confidence_regularizer_by_hand():
    prob = torch.tensor([[0.8, 0.2], [0.5, 0.5]], dtype=torch.float64)
    prior = torch.tensor([0.25, 0.75], dtype=torch.float64)
    expected = (0.25 * math.log(0.8) + 0.75 * math.log(0.2) + math.log(0.5)) / 2
    assert float(confidence_regularizer(prob, prior)) == pytest.approx(expected, abs=1e-7)


def test_confidence_regularizer_is_bounded_below_with_finite_gradient():
    prob = torch.tensor([[1.0, 0.0]], requires_grad=True)
    value = confidence_regularizer(prob, torch.tensor([0.0, 1.0]))
    assert value.item() == pytest.approx(math.log(CLAMP), rel=1e-6)
    value.backward()
    assert torch.isfinite(prob.grad).all()


def test_confidence_regularizer_falls_as_g_grows_confident():
    prior = torch.full((3,), 1 / 3)
    values = [
        float(confidence_regularizer(torch.softmax(t * torch.tensor([[1.0, 0.0, -1.0]]), 1), prior))
        for t in (0, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(math.log(1 / 3), rel=1e-6)


def test_confidence_regularizer_adds_1e_8_inside_the_logarithm():
    prob = torch.tensor([[1e-8, 1.0]], dtype=torch.float64)
    value = confidence_regularizer(prob, torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert float(value) == pytest.approx(math.log(2e-8))


@pytest.mark.parametrize("prior_dtype", [torch.float64, torch.float16])
def test_prior_and_probabilities_may_be_of_other_types(prior_dtype):
    g_prob, prior = torch.tensor([[1.0, 0.0], [0.25, 0.75]]), torch.tensor([0.5, 0.5])
    expected = confidence_regularizer(g_prob, prior)
    torch.testing.assert_close(confidence_regularizer(g_prob, prior.to(prior_dtype)), expected)
    torch.testing.assert_close(confidence_regularizer(g_prob.half(), prior), expected)
    labels = torch.tensor([0, 1])
    loss = main_loss(g_prob.clamp_min(1e-6).log(), labels, prior.to(prior_dtype), 2.0)
    torch.testing.assert_close(loss, main_loss(g_prob.clamp_min(1e-6).log(), labels, prior, 2.0))


def test_main_loss_by_hand():
    log_g = torch.log(torch.tensor([[0.8, 0.2]], dtype=torch.float64))
    prior = torch.tensor([0.5, 0.5], dtype=torch.float64)
    loss = main_loss(log_g, torch.tensor([0]), prior, 3.0)
    expected = -math.log(0.8) + 3 * 0.5 * (math.log(0.8) + math.log(0.2))
    assert float(loss) == pytest.approx(expected, abs=1e-6)
    plain = main_loss(log_g, torch.tensor([0]), prior, 0.0)
    assert float(plain) == pytest.approx(-math.log(0.8))


def loss_of_a_corner(best, label, prior, weight):
    """Eq. (8) of one row with all mass but CLAMP per class on ``best``."""
    prob = torch.full((1, len(prior)), CLAMP, dtype=torch.float64)
    prob[0, best] = 1 - CLAMP * (len(prior) - 1)
    return float(main_loss(torch.log(prob), torch.tensor([label]), prior, weight))


def test_limited_weight_by_hand():
    prior = torch.tensor([0.85, 0.10, 0.05], dtype=torch.float64)
    assert float(limited_weight(3.0, prior)) == pytest.approx(0.25 / 0.8)
    assert float(limited_weight(0.3, prior)) == pytest.approx(0.3)
    assert float(limited_weight(0.0, prior)) == 0
    assert float(limited_weight(3.0, torch.full((4,), 0.25))) == 3.0


@pytest.mark.parametrize("prior", [[0.85, 0.10, 0.05], [0.9, 0.1], [0.4, 0.3, 0.2, 0.1]])
def test_a_label_is_the_best_corner_under_the_limited_weight(prior):
    prior = torch.tensor(prior, dtype=torch.float64)
    classes = range(len(prior))
    for label in classes:
        losses = [loss_of_a_corner(best, label, prior, limited_weight(3.0, prior)) for best in classes]
        assert losses.index(min(losses)) == label


def test_a_large_class_loses_its_rows_under_the_full_weight():
    prior = torch.tensor([0.85, 0.10, 0.05], dtype=torch.float64)
    losses = [loss_of_a_corner(best, 0, prior, 3.0) for best in range(3)]
    assert losses.index(min(losses)) == 2


def test_main_loss_gradient():
    """By the logits: (g - onehot) + lambda (prior - g), but for the clamp."""
    logits = torch.tensor([[0.2, -0.4, 0.1]], dtype=torch.float64, requires_grad=True)
    prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    main_loss(torch.log_softmax(logits, 1), torch.tensor([2]), prior, 0.7).backward()
    g = torch.softmax(logits.detach(), 1)
    expected = g - torch.tensor([[0.0, 0.0, 1.0]]) + 0.7 * (prior - g)
    torch.testing.assert_close(logits.grad, expected, atol=1e-6, rtol=0)


# weights of rows

WEIGHTS = torch.tensor([0.5, 1.5], dtype=torch.float64)
TWO = torch.tensor([[0.8, 0.2], [0.5, 0.5]], dtype=torch.float64)


def test_weighted_mean_by_hand():
    values = torch.tensor([2.0, 4.0], dtype=torch.float64)
    assert float(weighted_mean(values)) == 3.0
    assert float(weighted_mean(values, WEIGHTS)) == 3.5
    assert (
        float(weighted_mean(values, torch.tensor([1.0, 0.0]))) == 1.0
    )  # their mean is 1 over all rows, not over these


def test_cross_entropy_by_hand():
    labels = torch.tensor([1, 0])
    plain = cross_entropy(torch.log(TWO), labels)
    assert plain.shape == () and float(plain) == pytest.approx(-(math.log(0.2) + math.log(0.5)) / 2)
    weighted = cross_entropy(torch.log(TWO), labels, WEIGHTS)
    assert float(weighted) == pytest.approx(-(0.5 * math.log(0.2) + 1.5 * math.log(0.5)) / 2)


def test_main_loss_weighs_both_of_its_parts():
    prior = torch.tensor([0.25, 0.75], dtype=torch.float64)
    regular = [0.25 * math.log(0.8) + 0.75 * math.log(0.2), math.log(0.5)]
    expected = (0.5 * regular[0] + 1.5 * regular[1]) / 2
    assert float(confidence_regularizer(TWO, prior, WEIGHTS)) == pytest.approx(expected, abs=1e-7)
    loss = main_loss(torch.log(TWO), torch.tensor([1, 0]), prior, 3.0, WEIGHTS)
    labels = -(0.5 * math.log(0.2) + 1.5 * math.log(0.5)) / 2
    assert float(loss) == pytest.approx(labels + 3 * expected, abs=1e-6)


def test_members_share_labels_and_have_weights_of_their_own():
    """Two members, two rows; the second member leaves the first row out."""
    log_p = torch.log(torch.stack([TWO, TWO.flip(1)]))  # (2, 2, 2)
    weights = torch.tensor([[1.0, 1.0], [0.0, 2.0]], dtype=torch.float64)
    hard = -(math.log(0.2) + math.log(0.5) + 2 * math.log(0.5)) / 4
    assert float(cross_entropy(log_p, torch.tensor([1, 0]), weights)) == pytest.approx(hard)
    even = -(math.log(0.2) + math.log(0.5) + math.log(0.5) + math.log(0.8)) / 4
    assert float(cross_entropy(log_p, torch.tensor([1, 0]))) == pytest.approx(even)
    target = torch.tensor([[0.25, 0.75], [1.0, 0.0]], dtype=torch.float64)
    soft = -(0.25 * math.log(0.8) + 0.75 * math.log(0.2) + math.log(0.5) + 2 * math.log(0.5)) / 4
    assert float(soft_target_cross_entropy(log_p, target, weights)) == pytest.approx(soft)


# Eq. (13)


def test_soft_target_cross_entropy_by_hand():
    log_f = torch.log(torch.tensor([[0.8, 0.2], [0.5, 0.5]], dtype=torch.float64))
    target = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)
    expected = -(0.5 * math.log(0.8) + 0.5 * math.log(0.2) + math.log(0.5)) / 2
    assert float(soft_target_cross_entropy(log_f, target)) == pytest.approx(expected)


def test_soft_target_cross_entropy_of_hard_labels_is_the_cross_entropy_and_its_gradient():
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    labels = torch.tensor([0, 1, 2, 0, 1])
    target = torch.nn.functional.one_hot(labels, 3).double()
    loss = soft_target_cross_entropy(torch.log_softmax(logits, 1), target)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits, labels))
    loss.backward()
    torch.testing.assert_close(logits.grad, (torch.softmax(logits.detach(), 1) - target) / 5)


@pytest.mark.parametrize("shape", [(), (2,)], ids=["one", "members"])
def test_soft_target_cross_entropy_of_an_impossible_class_counts_by_its_share(shape):
    log_f = torch.tensor([[0.0, -torch.inf], [math.log(0.8), math.log(0.2)]]).expand(*shape, 2, 2).requires_grad_()
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = soft_target_cross_entropy(log_f, target)
    loss.backward()
    assert loss.item() == pytest.approx(-math.log(0.2) / 2) and log_f.grad.isfinite().all()
    assert soft_target_cross_entropy(log_f, target.flip(0)).item() == math.inf


def test_rows_of_weight_0_count_as_0_where_their_label_is_impossible():
    log_p, labels, weights = (
        torch.tensor([[0.0, -torch.inf], [-1.0, -1.0]]),
        torch.tensor([1, 0]),
        torch.tensor([0.0, 2]),
    )
    assert float(cross_entropy(log_p, labels, weights)) == 1.0
    assert float(soft_target_cross_entropy(log_p, torch.eye(2)[labels], weights)) == 1.0


# contrastive loss


def test_contrastive_loss_by_hand():
    """Two rows, both views equal, rows orthogonal: one positive at cosine 1, two negatives at 0."""
    z = torch.eye(2)
    expected = -math.log(math.exp(2.0) / (math.exp(2.0) + 2))
    assert float(contrastive_loss(z, z, temperature=0.5)) == pytest.approx(expected, rel=1e-6)


def test_contrastive_loss_of_unequal_views_by_hand():
    """Angles 0 and 90 degrees in view 1, 30 and 60 in view 2; temperature .05 unless another is given."""
    z1 = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    z2 = torch.tensor([[math.sqrt(3), 1.0], [1.0, math.sqrt(3)]]) / 2
    near, far, apart = math.cos(math.pi / 6), math.cos(math.pi / 3), 0.0
    for loss, t in [(contrastive_loss(z1, z2), 0.05), (contrastive_loss(z1, z2, 1.0), 1.0)]:
        first = -near / t + math.log(sum(math.exp(c / t) for c in (near, far, apart)))
        second = -near / t + math.log(sum(math.exp(c / t) for c in (near, far, near)))
        assert float(loss) == pytest.approx((first + second) / 2, rel=1e-5)


def test_contrastive_loss_of_half_precision_is_float32():
    assert contrastive_loss(torch.eye(2).half(), torch.eye(2).half()).dtype == torch.float32


def test_contrastive_loss_does_not_see_lengths_and_is_symmetric():
    rng = torch.Generator().manual_seed(0)
    z1, z2 = torch.randn(6, 4, generator=rng), torch.randn(6, 4, generator=rng)
    loss = contrastive_loss(z1, z2)
    torch.testing.assert_close(contrastive_loss(10 * z1, 0.1 * z2), loss)
    torch.testing.assert_close(contrastive_loss(z2, z1), loss)


def test_contrastive_loss_is_least_for_matching_views():
    z = torch.randn(8, 16, generator=torch.Generator().manual_seed(1))
    assert float(contrastive_loss(z, z)) < float(contrastive_loss(z, z.roll(1, 0)))


def test_contrastive_loss_of_degenerate_batches_is_finite():
    assert float(contrastive_loss(torch.ones(1, 3), torch.ones(1, 3))) == 0.0
    zero = torch.zeros(4, 3, requires_grad=True)
    loss = contrastive_loss(zero, zero)
    assert loss.item() == pytest.approx(math.log(7), rel=1e-6)
    loss.backward()
    assert torch.isfinite(zero.grad).all()


# Lemma 1


def circulant(weights):
    """A manifold p_pi over K inputs whose label marginal is uniform: rows are shifts of one law."""
    row = torch.tensor(weights, dtype=torch.float64)
    return torch.stack([row.roll(shift) for shift in range(len(row))])


def minimise(loss, shape):
    """Softmax table of this shape that minimises ``loss(log_g)``, found over its logits."""
    logits = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [logits], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        value = loss(torch.log_softmax(logits, 1))
        value.backward()
        return value

    optimizer.step(closure)
    return torch.softmax(logits.detach(), 1)


@pytest.mark.parametrize("clean_rate", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("weights", [[0.7, 0.2, 0.1], [0.05, 0.05, 0.8, 0.1], [0.6, 0.4]])
def test_lemma_1_exact_logarithm(clean_rate, weights):
    """Tabular g, uniform eps and label marginal, lambda = 1 - gamma': the minimiser is p_pi."""
    manifold = circulant(weights)
    k = len(weights)
    data = clean_rate * manifold + (1 - clean_rate) / k
    prior = data.mean(0)
    torch.testing.assert_close(prior, torch.full((k,), 1 / k, dtype=torch.float64))

    def loss(log_g):
        return soft_target_cross_entropy(log_g, data) + (1 - clean_rate) * (log_g @ prior).mean()

    torch.testing.assert_close(minimise(loss, (k, k)), manifold, atol=1e-6, rtol=0)


def test_lemma_1_needs_its_lambda():
    """Without the regularizer the minimiser is the noisy law, not the manifold."""
    manifold = circulant([0.7, 0.2, 0.1])
    data = 0.5 * manifold + 0.5 / 3
    table = minimise(lambda log_g: soft_target_cross_entropy(log_g, data), (3, 3))
    torch.testing.assert_close(table, data, atol=1e-6, rtol=0)


def test_lemma_1_of_the_clamped_loss_on_counted_rows():
    """The loss as it trains, on 300 rows whose label counts are 0.5 p_pi + 0.5 / 3: off by the clamp only."""
    counts = (100 * (0.5 * circulant([0.7, 0.2, 0.1]) + 0.5 / 3)).mul(3).round().long()
    rows = torch.repeat_interleave(torch.arange(3).repeat_interleave(3), counts.flatten())
    labels = torch.repeat_interleave(torch.arange(3).repeat(3), counts.flatten())
    prior = torch.bincount(labels).double() / len(labels)
    table = minimise(lambda log_g: main_loss(log_g[rows], labels, prior, 0.5), (3, 3))
    torch.testing.assert_close(table, circulant([0.7, 0.2, 0.1]), atol=1e-5, rtol=0)
