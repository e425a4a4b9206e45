"""A transition matrix divided out of predictions of given labels, and those that the surest rows show.

References
----------
W. Richardson, "Bayesian-Based Iterative Method of Image Restoration", JOSA 1972.
G. Patrini et al., "Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach", CVPR 2017 (T from
the surest rows).
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.em.corruption import row_normalised
from noisyflywheel.em.main import PROB_MIN

ANCHORS, FEWEST_ANCHORS = (0.1, 0.25, 0.5), 5.0
"""Shares of the rows predicted as a class, the surest ones, that may show how it is labelled; how many at least."""

N_DIVISIONS = 20
"""Steps of Richardson's iteration."""


def anchor_transitions(p: Tensor, given: Tensor, weight: Tensor) -> Tensor:
    """T as the surest rows of each predicted class are labelled, of each share: (s, K, K), rows = true class.

    ``p`` has shape (n, K), ``given`` and ``weight`` (n,). As in `likely_transition` a row and a half a class are added.
    """
    n_classes, predicted = p.shape[1], p.argmax(1)
    share = torch.tensor(ANCHORS, dtype=p.dtype, device=p.device)[:, None]
    T = (torch.eye(n_classes, dtype=p.dtype, device=p.device) + 0.5 / n_classes).repeat(len(share), 1, 1)
    for label in range(n_classes):
        rows = (predicted == label).nonzero().squeeze(1)
        rows = rows[p[rows, label].argsort(descending=True)]
        w = weight[rows]
        room = (share * w.sum()).clamp_min(FEWEST_ANCHORS)
        counts = torch.minimum(w, (room - (w.cumsum(0) - w)).clamp_min(0))  # the last one may count in part
        T[:, label].index_add_(1, given[rows], counts)
    return row_normalised(T)


def divided_out(p: Tensor, T: Tensor, n_steps: int = N_DIVISIONS, start: Tensor | None = None) -> Tensor:
    """Distributions of the true class whose image under T is nearly ``p`` (n, K): Richardson's iteration.

    From ``start`` (n, K), or from ``p`` itself.
    """
    guess = p if start is None else start
    for _ in range(n_steps):
        guess = guess * ((p / (guess @ T).clamp_min(PROB_MIN)) @ T.T)
        guess = guess / guess.sum(1, keepdim=True).clamp_min(PROB_MIN)
    return guess


def divided_at(p: Tensor, T: Tensor, temperature: float) -> Tensor:
    """`divided_out` at a temperature: (n, K)."""
    return scaled(divided_out(p, T), temperature)


def scaled(p: Tensor, temperature: float) -> Tensor:
    """`tempered`, and ``p`` (n, K) itself at temperature 1."""
    return p if temperature == 1 else tempered(p, temperature)


def tempered(p: Tensor, temperature: float) -> Tensor:
    """``p^(1 / temperature)``, renormalised: (n, K)."""
    return torch.softmax(p.log() / temperature, 1)
