"""Temperature of g by maximum likelihood of the given labels (objective 3), and the first gamma."""

import math

import pytest
import torch

from noisyflywheel.em import agreement, calibrate, calibrate_with_clean_rate, objective, overconfidence
from noisyflywheel.em.calibration import TEMPERATURES, tempered_given

EPS, GAMMA = 0.25, 0.7


@pytest.fixture(scope="module")
def mixture():
    """Labels drawn from ``0.7 p + 0.3 / K`` for known p of shape (20000, 4)."""
    rng = torch.Generator().manual_seed(0)
    log_p = torch.log_softmax(1.5 * torch.randn(20_000, 4, generator=rng).double(), 1)
    clean = torch.multinomial(log_p.exp(), 1, generator=rng).squeeze(1)
    noise = torch.randint(4, (20_000,), generator=rng)
    given = torch.where(torch.rand(20_000, generator=rng) < GAMMA, clean, noise)
    return log_p, given, torch.full((20_000,), EPS, dtype=torch.float64)


def test_tempered_given_by_hand():
    log_g = torch.log(torch.tensor([[0.8, 0.2]], dtype=torch.float64))
    as_is = tempered_given(log_g.expand(2, 2), torch.tensor([0, 1]), 1.0)
    torch.testing.assert_close(as_is, torch.tensor([0.8, 0.2], dtype=torch.float64))
    flat = math.sqrt(0.8) / (math.sqrt(0.8) + math.sqrt(0.2))
    assert float(tempered_given(log_g, torch.tensor([0]), 2.0)) == pytest.approx(flat)
    sharp = 0.64 / (0.64 + 0.04)
    assert float(tempered_given(log_g, torch.tensor([0]), 0.5)) == pytest.approx(sharp)


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_calibrate_undoes_a_wrong_temperature(mixture, factor):
    log_p, given, eps = mixture
    temperature = calibrate(log_p * factor, given, GAMMA, eps)
    assert abs(math.log2(temperature / factor)) <= 0.25  # one step of the grid


def test_calibrate_takes_the_best_of_its_grid(mixture):
    log_p, given, eps = mixture

    def value(temperature):
        return float(objective(tempered_given(log_p * 6, given, temperature), 0.5, eps))

    best = calibrate(log_p * 6, given, torch.tensor(0.5), eps)
    assert value(best) == max(map(value, TEMPERATURES))
    assert value(best) > value(1.0)


def test_calibrate_survives_the_ends():
    log_g = torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]]).clamp_min(-69)
    eps = torch.full((2,), 1e-6, dtype=torch.float64)
    for gamma in (0.0, 1e-4, 1 - 1e-4, 1.0):
        assert calibrate(log_g, torch.tensor([1, 0]), gamma, eps) in TEMPERATURES


def test_agreement_by_hand():
    prob = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert float(agreement(prob, torch.tensor([0, 1, 1]))) == pytest.approx(2 / 3)
    assert agreement(prob, torch.tensor([0, 1, 1])).dtype == torch.float64


def test_temperatures_are_quarter_octaves_from_a_quarter_to_16():
    assert (TEMPERATURES[0], TEMPERATURES[-1]) == (0.25, 16.0)
    assert 1.0 in TEMPERATURES
    for lower, upper in zip(TEMPERATURES, TEMPERATURES[1:], strict=False):
        assert upper / lower == pytest.approx(2**0.25)


def test_calibrate_compares_in_the_precision_of_eps():
    """g in float32 and a gamma so near 1 that only float64 tells 1 - gamma: the flat g is found all the same."""
    log_g = torch.log(torch.tensor([[0.9, 0.1]] * 2))
    flat = calibrate(log_g, torch.tensor([0, 1]), 0.999, torch.full((2,), 1e-9, dtype=torch.float64))
    assert flat == 16.0
    sharp = calibrate(log_g, torch.tensor([0, 0]), 0.999, torch.full((2,), 1e-9, dtype=torch.float64))
    assert sharp == 0.25


def test_overconfidence_by_hand():
    """Mean confidence .8; g and f agree on two rows of three."""
    log_g = torch.log(torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9]]))
    f_prob = torch.tensor([[0.7, 0.3], [0.8, 0.2], [0.45, 0.55]])
    assert overconfidence(log_g, f_prob) == pytest.approx(0.8 - 2 / 3)
    assert overconfidence(log_g, 1 - f_prob) == pytest.approx(0.8 - 1 / 3)
    assert overconfidence(log_g, log_g.exp()) == pytest.approx(0.8 - 1)


def test_overconfidence_is_a_number_in_float64():
    """2^25 equal float32 confidences cannot be summed in float32; emulated by what one row keeps of its digits."""
    log_g = torch.log(torch.tensor([[0.7, 0.3]]))
    value = overconfidence(log_g, torch.tensor([[0.0, 1.0]]))
    assert isinstance(value, float)
    assert value == float(log_g[0, 0].double().exp())


def test_agreement_with_weights_by_hand():
    prob = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    weights = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    assert float(agreement(prob, torch.tensor([0, 1, 1]), weights)) == pytest.approx(0.25)


def test_calibrate_counts_a_row_as_often_as_its_weight():
    """One label for the sure class, one against it: the one that counts nine times decides."""
    log_g = torch.log(torch.tensor([[0.9, 0.1]] * 2, dtype=torch.float64))
    given, eps = torch.tensor([0, 1]), torch.full((2,), 0.01, dtype=torch.float64)
    for weights, repeated in [([9.0, 1.0], [0] * 9 + [1]), ([1.0, 9.0], [0] + [1] * 9)]:
        many = calibrate(log_g[:1].expand(10, 2), torch.tensor(repeated), 0.9, eps[:1].expand(10))
        assert calibrate(log_g, given, 0.9, eps, torch.tensor(weights, dtype=torch.float64)) == many


def test_calibrate_with_clean_rate_finds_both(mixture):
    log_p, given, eps = (part[:5000] for part in mixture)
    for factor in (0.5, 4.0):
        temperature, gamma = calibrate_with_clean_rate(log_p * factor, given, eps)
        assert abs(math.log2(temperature / factor)) <= 0.25
        assert gamma == pytest.approx(GAMMA, abs=0.061)  # three steps of the grid


def test_calibrate_with_clean_rate_takes_the_best_of_both_grids():
    rng = torch.Generator().manual_seed(0)
    log_g = torch.log_softmax(2 * torch.randn(30, 3, generator=rng).double(), 1)
    given = torch.where(torch.rand(30, generator=rng) < 0.6, log_g.argmax(1), torch.randint(3, (30,), generator=rng))
    eps = torch.rand(30, generator=rng, dtype=torch.float64)
    weights = torch.rand(30, generator=rng, dtype=torch.float64)
    for w in (None, weights):
        temperature, gamma = calibrate_with_clean_rate(log_g, given, eps, w)

        def value(t, rate, w=w):
            return float(objective(tempered_given(log_g, given, t), rate, eps, sample_weight=w))

        best = max(value(t, i / 50) for t in TEMPERATURES for i in range(1, 50))
        assert value(temperature, gamma) == pytest.approx(best, abs=1e-12)
        assert temperature in TEMPERATURES and round(gamma * 50, 6) in range(1, 50)
    assert calibrate_with_clean_rate(log_g, given, eps, weights) != calibrate_with_clean_rate(log_g, given, eps)


def test_some_of_many_rows_are_enough(mixture, monkeypatch):
    log_p, given, eps = mixture
    right = log_p.argmax(1) == given
    weights = 0.5 + right.double()
    some = (right | (torch.arange(len(given)) % 2 == 0)).nonzero().squeeze(1)  # they look cleaner than all of them
    plain = calibrate_with_clean_rate(log_p[some], given[some], eps[some])
    expected = calibrate_with_clean_rate(log_p[some], given[some], eps[some], weights[some])
    assert expected not in (plain, calibrate_with_clean_rate(log_p, given, eps, weights))
    monkeypatch.setattr("noisyflywheel.em.calibration.MANY_ROWS", len(given) - 1)
    drawn = {(len(given), given.device): some}
    monkeypatch.setattr("noisyflywheel.em.calibration.some_rows", lambda n, device: drawn[n, device])
    assert calibrate_with_clean_rate(log_p, given, eps, weights) == expected
    assert calibrate_with_clean_rate(log_p, given, eps) == plain


def test_clean_rates_are_fiftieths_within_0_and_1():
    sure = torch.log(torch.tensor([[0.999, 0.001]], dtype=torch.float64))
    never = torch.full((1,), 1e-6, dtype=torch.float64)
    assert calibrate_with_clean_rate(sure, torch.tensor([0]), never)[1] == 0.98
    always = torch.ones(1, dtype=torch.float64)
    assert calibrate_with_clean_rate(sure, torch.tensor([1]), always)[1] == 0.02


def test_calibrate_with_clean_rate_survives_impossible_labels():
    log_g = torch.tensor([[0.0, -1e5], [-0.1, -2.4]], dtype=torch.float64)
    eps = torch.tensor([0.0, 0.5], dtype=torch.float64)
    found = calibrate_with_clean_rate(log_g, torch.tensor([1, 0]), eps)
    assert found == calibrate_with_clean_rate(log_g[1:], torch.tensor([0]), eps[1:])  # the other row decides
