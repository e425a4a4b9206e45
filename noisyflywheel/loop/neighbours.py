"""What the neighbours of a row say of its label: a judge of another kind beside the nets, in the ranking score.

A net that was trained on a row repeats something of that row's label. The refurbished labels of the rows around it do
not: where they speak against the label, it is more likely to be wrong than the nets say.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.data import float64_device
from noisyflywheel.views.vectors import feature_scale

FEWEST, MOST = 5, 50
"""Neighbours that are asked."""

ROWS_A_NEIGHBOUR = 10
"""As many neighbours are asked as the root of a tenth of the rows: 10 of 1,000 rows, 32 of 10,000."""

BLOCK = 1024
"""Rows whose distances to all others are held at once."""


def n_neighbours(n: int) -> int:
    """Neighbours that are asked among n rows, at least one."""
    return max(1, min(n - 1, MOST, max(FEWEST, round((n / ROWS_A_NEIGHBOUR) ** 0.5))))


def said_by_neighbours(x: Tensor, refurbished: Tensor, given: Tensor, among: Tensor) -> Tensor:
    """Mean probability of each given label among the refurbished labels of the nearest other rows: (n,).

    Distances are taken on one scale for all features that share a unit, else on one for each.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Finite rows, on any device.
    refurbished : Tensor of shape (n, K)
        Distributions of their true labels.
    given : Tensor of shape (n,), int64
        Their given labels.
    among : Tensor of shape (m,), int64
        The rows that are asked.
    """
    here = among.to(x.device)
    mean, scale = (part.to(x.device) for part in feature_scale(x[here].to(float64_device(x.device))))
    z = ((x - mean) / scale).float()
    asked, k = z[here], n_neighbours(len(among))
    said = torch.empty(len(x), dtype=torch.float32, device=given.device)
    for block in torch.arange(len(x), device=x.device).split(BLOCK):
        distance = torch.cdist(z[block], asked)
        distance.masked_fill_(block[:, None] == here, torch.inf)  # a row does not ask itself
        rows, nearest = block.to(given.device), distance.topk(k, largest=False).indices.to(given.device)  # (b, k)
        said[rows] = refurbished[among[nearest], given[rows, None]].float().mean(1)
    return said
