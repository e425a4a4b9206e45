"""Temperature and gamma by maximum likelihood of the given labels (objective 3)."""

import math

import pytest
import torch

from noisyflywheel.em import calibrate, objective, overconfidence
from noisyflywheel.em.calibration import TEMPERATURES, tempered_given

EPS = 0.25


@pytest.fixture(scope="module")
def mixture():
    """Labels drawn from ``0.7 p + 0.3 / K`` for known p of shape (20000, 4)."""
    rng = torch.Generator().manual_seed(0)
    log_p = torch.log_softmax(1.5 * torch.randn(20_000, 4, generator=rng).double(), 1)
    clean = torch.multinomial(log_p.exp(), 1, generator=rng).squeeze(1)
    noise = torch.randint(4, (20_000,), generator=rng)
    given = torch.where(torch.rand(20_000, generator=rng) < 0.7, clean, noise)
    return log_p, given, torch.full((20_000,), EPS, dtype=torch.float64)


def test_tempered_given_by_hand():
    log_g = torch.log(torch.tensor([[0.8, 0.2]], dtype=torch.float64))
    assert float(tempered_given(log_g, torch.tensor([0]), 1.0)) == pytest.approx(0.8)
    flat = math.sqrt(0.8) / (math.sqrt(0.8) + math.sqrt(0.2))
    assert float(tempered_given(log_g, torch.tensor([0]), 2.0)) == pytest.approx(flat)
    sharp = 0.64 / (0.64 + 0.04)
    assert float(tempered_given(log_g, torch.tensor([0]), 0.5)) == pytest.approx(sharp)


@pytest.mark.parametrize("factor", [0.5, 1.0, 4.0])
def test_calibrate_undoes_a_wrong_temperature_and_finds_gamma(mixture, factor):
    log_p, given, eps = mixture
    temperature, gamma = calibrate(log_p * factor, given, torch.tensor(0.5, dtype=torch.float64), eps)
    assert abs(math.log2(temperature / factor)) <= 0.5  # two steps of the grid
    assert float(gamma) == pytest.approx(0.7, abs=0.06)


def test_calibrate_never_lowers_the_objective(mixture):
    log_p, given, eps = mixture
    start = torch.tensor(0.3, dtype=torch.float64)
    temperature, gamma = calibrate(log_p * 6, given, start, eps)
    fitted = objective(tempered_given(log_p * 6, given, temperature), gamma, eps)
    assert float(fitted) > float(objective(tempered_given(log_p * 6, given, 1.0), start, eps))


def test_overconfidence_is_zero_unless_g_is_overconfident(mixture):
    log_p, given, eps = mixture
    gamma = torch.tensor(0.5, dtype=torch.float64)
    assert overconfidence(log_p * 0.5, given, gamma, eps) == 0.0
    assert overconfidence(log_p, given, gamma, eps) < 1e-3
    assert overconfidence(log_p * 6, given, gamma, eps) > 0.02


def test_calibrate_survives_the_ends():
    log_g = torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]]).clamp_min(-69)
    eps = torch.full((2,), 1e-6, dtype=torch.float64)
    for gamma in (1e-4, 1 - 1e-4):
        temperature, fitted = calibrate(log_g, torch.tensor([1, 0]), torch.tensor(gamma).double(), eps)
        assert temperature in TEMPERATURES
        assert 0 < float(fitted) < 1
