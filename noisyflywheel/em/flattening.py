"""The temperature of predictions by the given labels of unseen rows, and how much flatter those of a fit have to be."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noisyflywheel.em.calibration import TEMPERATURES
from noisyflywheel.em.sharpness import MOST_FLAT, likelihoods, some_of

FLAT = tuple(tau for tau in TEMPERATURES if 1 <= tau <= MOST_FLAT)
"""Temperatures that are tried."""


def flattening(prob: Tensor, given: Tensor, transition: Tensor, sample_weight: Tensor | None = None) -> float:
    """Temperature, 1 or above, at which predictions make the given labels of unseen rows most likely through T.

    It maximises ``sum_i w_i log sum_k f_tau(x_i)[k] T[k, y~_i]`` (temperature scaling, see `tempered_given`). It is
    never below 1: a member that has not seen a row has learnt from its neighbours, whose refurbished labels may lean on
    the label of that row. So given labels of unseen rows show predictions to be as sure as they should be, or surer
    than that; where they seem not sure enough, nothing follows.

    Parameters
    ----------
    prob : Tensor of shape (N, K)
        Predictions of the true class by members that have not seen the row, rows sum to 1.
    given : Tensor of shape (N,), int64
        Given labels.
    transition : Tensor of shape (K, K)
        T, rows = true class.
    sample_weight : Tensor of shape (N,), optional
        At least 0.

    Returns
    -------
    float
        Of `FLAT`; the lowest of those that are as likely.
    """
    return temperature_through(prob, given, transition, FLAT, sample_weight)


def temperature_through(
    prob: Tensor, given: Tensor, transition: Tensor, temperatures: Sequence[float], sample_weight: Tensor | None = None
) -> float:
    """The first of the ``temperatures`` of predictions that makes given labels most likely through T, as `flattening`.

    Where there are very many rows some are asked.
    """
    weight = torch.ones_like(prob[:, 0]) if sample_weight is None else sample_weight
    p, labels, weight = some_of(prob, given, weight)
    p = p.double()
    found = likelihoods(p, transition.to(p), labels, weight.to(p), temperatures)
    return temperatures[int(found.argmax())]  # sync: one scalar
