"""How classes get confused: T, T_c and the per-row corruption probability (Sec. 3.3, Eq. 14)."""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.em.main import EPS_MIN, at_least_single, columns_of


def row_normalised(mass: Tensor) -> Tensor:
    """Rows scaled to sum 1; a row without mass becomes uniform. ``mass`` has shape (..., K, K)."""
    total = mass.sum(-1, keepdim=True)
    uniform = torch.full_like(mass, 1.0 / mass.shape[-1])
    return torch.where(total > 1e-12, mass / total.clamp_min(1e-12), uniform)


def _mass_by_given(weight: Tensor, given: Tensor) -> Tensor:
    """Sum of ``weight`` (N, K) over the rows of each given label: (K, K), rows = true, columns = given."""
    k = weight.shape[1]
    mass = torch.zeros(k, k, dtype=torch.float64, device=weight.device)
    return mass.index_add_(0, given, weight.to(torch.float64)).T


def transition_matrix(q_y: Tensor, given: Tensor) -> Tensor:
    """Transition matrix T, rows = true class, columns = given class, rows sum to 1.

    Sec. 3.3, below Eq. (13): ``T[y, y'] = sum_{i: y~_i = y'} q_i(y) / sum_i q_i(y)``. An empty row is
    uniform.

    Parameters
    ----------
    q_y : Tensor of shape (N, K)
        Refurbished label distribution, Eq. (11).
    given : Tensor of shape (N,), int64
        Given labels.

    Returns
    -------
    Tensor of shape (K, K), float64
    """
    return row_normalised(_mass_by_given(q_y, given))


def corruption_matrix(q: Tensor, f_prob: Tensor, given: Tensor) -> Tensor:
    """Corruption matrix T_c: T from the corrupted part of Eq. (11) only.

    Sec. 3.3: ``T_c[y, y'] = sum_{i: y~_i = y'} (1 - q_i) f(x_i)[y] / sum_i (1 - q_i) f(x_i)[y]``. An empty
    row is uniform.

    Parameters
    ----------
    q : Tensor of shape (N,)
        Clean probabilities, in [0, 1].
    f_prob : Tensor of shape (N, K)
        Prediction of f, unsharpened.
    given : Tensor of shape (N,), int64
        Given labels.

    Returns
    -------
    Tensor of shape (K, K), float64
        Rows = true class, columns = given class, rows sum to 1.
    """
    return row_normalised(_mass_by_given((1 - q)[:, None] * f_prob, given))


def error_probability(f_prob: Tensor, corruption: Tensor, given: Tensor) -> Tensor:
    """Probability of the given label of each row if it is corrupted.

    Eq. (14), Sec. 3.3: ``eps_i = sum_y f(x_i)[y] T_c[y, y~_i]``, floored at ``EPS_MIN``.

    Parameters
    ----------
    f_prob : Tensor of shape (N, K)
        Prediction of f.
    corruption : Tensor of shape (K, K)
        T_c, rows = true class, columns = given class.
    given : Tensor of shape (N,), int64
        Given labels.

    Returns
    -------
    Tensor of shape (N,)
        Of the type of ``f_prob``, at least float32.
    """
    f_prob = at_least_single(f_prob)
    columns = columns_of(corruption.to(f_prob.dtype), given)  # (N, K): T_c[:, y~_i]
    return (f_prob * columns).sum(1).clamp_min(EPS_MIN)
