"""Temperature of g and gamma by maximum likelihood of the given labels (objective 3 of the paper)."""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.em.main import clean_posterior, update_clean_rate
from noisyflywheel.em.mixture import objective

TEMPERATURES = tuple(0.25 * 2 ** (i / 4) for i in range(25))
"""Grid of temperatures, 0.25 to 16, a quarter of an octave apart."""


def tempered_given(log_g: Tensor, given: Tensor, temperature: float) -> Tensor:
    """``g_tau(x_i)[y~_i]``, g with its logits divided by ``temperature``.

    ``log_g`` has shape (N, K) and holds log-probabilities; ``given`` has shape (N,). Returns shape (N,).
    """
    scaled = torch.log_softmax(log_g / temperature, 1)
    return scaled.gather(1, given[:, None]).squeeze(1).exp()


def _fit_clean_rate(g_given: Tensor, gamma: Tensor, eps: Tensor, n_iter: int = 25) -> Tensor:
    """Gamma that maximises objective (3) for fixed g: EM in one unknown, Eqs. (4) and (6)."""
    for _ in range(n_iter):
        gamma = update_clean_rate(clean_posterior(g_given, gamma, eps))
    return gamma


def calibrate(log_g: Tensor, given: Tensor, gamma: Tensor, eps: Tensor) -> tuple[float, Tensor]:
    """Temperature tau of g and gamma that jointly maximise the likelihood of the given labels.

    Objective (3), Sec. 3.1, in two more unknowns: maximises ``mean_i log(gamma g_tau(x_i)[y~_i] +
    (1 - gamma) eps_i)`` over a grid of tau and, for each, over gamma by EM.

    Parameters
    ----------
    log_g : Tensor of shape (N, K)
        Log-probabilities of g.
    given : Tensor of shape (N,), int64
        Given labels.
    gamma : scalar Tensor
        Where EM for gamma starts.
    eps : Tensor of shape (N,)
        ``p(y~_i | x_i, s_i = 0)``.

    Returns
    -------
    temperature : float
        1 leaves g as it is, above 1 flattens it.
    gamma : scalar Tensor
    """
    best = (-float("inf"), 1.0, gamma)
    for temperature in TEMPERATURES:
        g_given = tempered_given(log_g, given, temperature).to(eps.dtype)
        fitted = _fit_clean_rate(g_given, gamma, eps)
        value = float(objective(g_given, fitted, eps))
        if value > best[0] + 1e-9:
            best = (value, temperature, fitted)
    return best[1], best[2]


def overconfidence(log_g: Tensor, given: Tensor, gamma: Tensor, eps: Tensor) -> float:
    """How much likelihood of the given labels g loses by its confidence, in nats a row.

    The difference of objective (3) at the calibrated temperature and gamma and at temperature 1 with gamma
    fitted; 0 if g is not overconfident (the best temperature is 1 or lower).
    """
    temperature, fitted = calibrate(log_g, given, gamma, eps)
    if temperature <= 1.0:
        return 0.0
    plain = tempered_given(log_g, given, 1.0).to(eps.dtype)
    tempered = tempered_given(log_g, given, temperature).to(eps.dtype)
    gain = objective(tempered, fitted, eps) - objective(plain, _fit_clean_rate(plain, gamma, eps), eps)
    return max(0.0, float(gain))
