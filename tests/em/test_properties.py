"""What holds for every input of the equations, extremes included."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from noisyflywheel import em
from noisyflywheel.em import losses

UNIT = st.floats(0.0, 1.0, width=32)
EDGE = st.sampled_from([0.0, 1.0, 1e-38, 1e-7, 0.5]) | UNIT


@st.composite
def mixtures(draw):
    """q-inputs and labels for N rows and K classes; classes may be empty and probabilities 0 or 1."""
    n, k = draw(st.integers(1, 8)), draw(st.integers(2, 5))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    labels = draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))
    raw = draw(st.lists(st.lists(EDGE, min_size=k, max_size=k), min_size=n, max_size=n))
    f_prob = torch.tensor(raw, dtype=dtype) + torch.finfo(dtype).tiny
    g_given = torch.tensor(draw(st.lists(EDGE, min_size=n, max_size=n)), dtype=dtype)
    eps = torch.tensor(draw(st.lists(EDGE, min_size=n, max_size=n)), dtype=dtype)
    return g_given, f_prob / f_prob.sum(1, keepdim=True), torch.tensor(labels), draw(EDGE), eps


def assert_rows_sum_to_one(matrix, atol=1e-6):
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(len(matrix), dtype=matrix.dtype), atol=atol, rtol=0)


@settings(deadline=None, max_examples=300)
@given(mixtures())
def test_probabilities_stay_probabilities(mixture):
    g_given, f_prob, labels, gamma, eps = mixture
    q = em.clean_posterior(g_given, gamma, eps)
    assert ((q >= 0) & (q <= 1)).all()
    assert 0 < float(em.update_clean_rate(q)) < 1
    refurbished = em.refurbish(q, labels, f_prob)
    assert_rows_sum_to_one(refurbished)
    corruption = em.corruption_matrix(q, f_prob, labels)
    assert_rows_sum_to_one(corruption)
    assert_rows_sum_to_one(em.transition_matrix(refurbished, labels))
    error = em.error_probability(f_prob, corruption, labels)
    assert ((error > 0) & (error <= 1 + 1e-6)).all()
    assert torch.isfinite(em.objective(g_given, gamma, eps))
    assert torch.isfinite(em.expected_log_likelihood(q, g_given, gamma, eps))
    T = em.transition_matrix(refurbished, labels)
    assert torch.isfinite(em.auxiliary_likelihood(refurbished, f_prob, T, labels))


@settings(deadline=None, max_examples=100)
@given(mixtures())
def test_posterior_rises_with_g_and_gamma_and_falls_with_eps(mixture):
    g_given, _, _, gamma, eps = mixture
    q = em.clean_posterior(g_given, gamma, eps)
    assert (em.clean_posterior((g_given * 2).clamp(max=1), gamma, eps) >= q).all()
    assert (em.clean_posterior(g_given, min(1.0, gamma * 2), eps) >= q).all()
    assert (em.clean_posterior(g_given, gamma, (eps * 2).clamp(max=1)) <= q).all()


ENDS = [(q, g, gamma, eps) for q in (0.0, 1.0) for g in (0.0, 1.0) for gamma in (0.0, 1.0) for eps in (0.0, 1.0)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_the_bounds_of_float32(dtype):
    """1 - 1e-4 is 1 in half precision, and 1e-30 is 0 in float16."""
    for q, g, gamma, eps in ENDS:
        half, single = (torch.tensor([q, g], dtype=t).split(1) for t in (dtype, torch.float32))
        for function in (em.clean_posterior, em.objective):
            assert torch.equal(function(half[1], gamma, eps), function(single[1], gamma, eps))
        of_half = em.expected_log_likelihood(*half, gamma, eps)
        assert torch.equal(of_half, em.expected_log_likelihood(*single, gamma, eps))
        assert torch.equal(em.update_clean_rate(half[0]), em.update_clean_rate(single[0]))
    T, label = torch.tensor([[1 - 1e-5, 1e-5], [5e-5, 1 - 5e-5]], dtype=torch.float64), torch.tensor([0])
    f = torch.tensor([[1e-3, 0.9995]], dtype=dtype)  # products with T are 0 or too coarse in half precision
    for function in (em.posterior_through, em.bayes_posterior, em.error_probability):
        assert torch.equal(function(f, T, label), function(f.float(), T, label))
    mass, counts = torch.tensor([3.0, 4.0]), torch.tensor([100_000, 2])
    factors = em.share_factors(mass.to(dtype), counts)
    assert torch.equal(factors, em.share_factors(mass, counts)) and factors.isfinite().all()
    assert torch.equal(em.rescaled(f, factors), em.rescaled(f.float(), factors))
    onehot, labels = torch.eye(2, dtype=dtype), torch.tensor([1, 0])
    value = em.auxiliary_likelihood(onehot, onehot, onehot, labels)
    assert torch.equal(value, em.auxiliary_likelihood(torch.eye(2), torch.eye(2), torch.eye(2), labels))


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64])
def test_whole_numbers_are_those_of_float32(dtype):
    """``F.one_hot`` makes int64."""
    f, labels = torch.eye(3, dtype=dtype)[[0, 1, 2, 0]], torch.tensor([1, 1, 0, 0])
    T = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.2, 0.5]])
    for function in (em.posterior_through, em.bayes_posterior, em.error_probability):
        assert torch.equal(function(f, T, labels), function(f.float(), T, labels))
    torch.testing.assert_close(em.error_probability(f, T, labels), torch.tensor([0.2, 0.8, 0.3, 0.7]))
    g_given, q = f[:, 1], torch.tensor([0.9, 0.1, 0.5, 0.5])
    assert torch.equal(em.clean_posterior(g_given, 0.5, 0.1), em.clean_posterior(g_given.float(), 0.5, 0.1))
    of_whole = em.expected_log_likelihood(q, g_given, 0.7, 0.2)
    assert torch.equal(of_whole, em.expected_log_likelihood(q, g_given.float(), 0.7, 0.2))
    assert torch.equal(em.update_clean_rate(g_given), em.update_clean_rate(g_given.float()))
    factors = torch.tensor([0.5, 2.0, 1.0])
    assert torch.equal(em.rescaled(f, factors), em.rescaled(f.float(), factors))
    assert torch.equal(em.share_factors(f.sum(0), f.sum(0)), em.share_factors(f.float().sum(0), f.sum(0)))
    log_g, one = f.float().clamp_min(1e-3).log(), torch.ones(4, dtype=dtype)
    assert em.calibrate(log_g, labels, 0.5, one) == em.calibrate(log_g, labels, 0.5, one.float())
    value = em.auxiliary_likelihood(f.float(), f, T, labels)
    assert torch.equal(value, em.auxiliary_likelihood(f.float(), f.float(), T, labels))


ROWS, LABELS = torch.tensor([0.9, 0.1, 0.4]), torch.tensor([0, 1, 0])
LOG_P = torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.7, 0.3]]).log()
PRIOR = torch.tensor([0.6, 0.4])


@pytest.mark.parametrize(
    "function",
    [
        lambda column: em.agreement(LOG_P, LABELS, column),
        lambda column: em.agreement(LOG_P, column),
        lambda column: em.update_clean_rate(ROWS, column),
        lambda column: em.update_clean_rate(ROWS, column[:1, 0]),
        lambda column: em.objective(column, 0.5, ROWS),
        lambda column: em.objective(ROWS, 0.5, ROWS, column),
        lambda column: em.given_label_likelihood(ROWS, 0.5, column),
        lambda column: em.joint_likelihood(column, ROWS, 0.5, 0.1),
        lambda column: em.clean_posterior(ROWS, 0.5, column),
        lambda column: em.expected_log_likelihood(column, ROWS, 0.5, 0.1),
        lambda column: em.expected_log_likelihood(ROWS, ROWS, 0.5, column),
        lambda column: em.mean_posterior(ROWS, column),
        lambda column: em.marginal_true_class(column, LOG_P, LOG_P),
        lambda column: em.reweighted_cross_entropy(LOG_P, LABELS, column),
        lambda column: losses.main_loss(LOG_P, LABELS, PRIOR, 1.0, column),
        lambda column: losses.soft_target_cross_entropy(LOG_P, LOG_P.exp(), column),
        lambda column: losses.confidence_regularizer(LOG_P.exp(), PRIOR, column),
    ],
)
def test_a_column_in_the_place_of_rows_is_refused(function):
    with pytest.raises(ValueError, match=r"do not go together: give numbers of rows as \(N,\), no column"):
        function(ROWS[:, None])


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_that_are_no_classes_are_refused(label):
    labels = torch.tensor([0, label, 1])
    for function in (em.posterior_through, em.bayes_posterior, em.error_probability):
        with pytest.raises(IndexError):
            function(LOG_P.exp(), torch.eye(2), labels)
    with pytest.raises(IndexError):
        em.auxiliary_likelihood(LOG_P.exp(), LOG_P.exp(), torch.eye(2), labels)


META = torch.device("meta")
"""A device without memory: what mixes it with the host's tensors fails, as it would on an accelerator."""


def test_everything_stays_on_the_device_of_its_arguments():
    prob, unit = torch.empty(5, 3, device=META), torch.empty(5, device=META)
    matrix, labels = torch.empty(3, 3, device=META), torch.empty(5, dtype=torch.int64, device=META)
    on_host = torch.full((5,), 0.5)
    results = [
        em.clean_posterior(unit, 0.5, 0.1),
        em.clean_posterior(unit, torch.tensor(0.5), on_host),
        em.expected_log_likelihood(unit, unit, 0.5, 0.1),
        em.update_clean_rate(unit),
        em.reweighted_cross_entropy(prob, labels, unit),
        em.marginal_true_class(unit, prob, prob),
        em.refurbish(unit, labels, prob),
        em.auxiliary_likelihood(prob, prob, matrix, labels),
        em.transition_matrix(prob, labels),
        em.corruption_matrix(unit, prob, labels),
        em.error_probability(prob, matrix, labels),
        em.posterior_through(prob, matrix, labels),
        em.tempered_given(prob, labels, 2.0),
        em.agreement(prob, labels),
        losses.confidence_regularizer(prob, unit[:3]),
        losses.limited_weight(3.0, unit[:3]),
        losses.main_loss(prob, labels, unit[:3], 3.0),
        losses.soft_target_cross_entropy(prob, prob),
        losses.contrastive_loss(prob, prob),
    ]
    assert {result.device for result in results} == {META}
