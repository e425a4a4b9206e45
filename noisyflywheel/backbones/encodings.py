"""Encodings of numeric columns, learnt from the rows without labels: quantile scale and piecewise-linear bins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLIP = 3.0
"""Where the smooth clip of `QuantileScale` levels off, in interquartile ranges."""

MOST_INPUTS = 4096
"""Wide tables get fewer bins a column, so that their encoding is no longer than this."""


class QuantileScale(nn.Module):
    """Columns in units of their interquartile range around the median, far values drawn in: (B, d) -> (B, d).

    ``z / sqrt(1 + (z / 3)^2)`` leaves the bulk as it is and keeps outliers below 3. A column whose quartiles meet is
    scaled by its range, a constant one is 0.
    """

    median: Tensor
    width: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("median", torch.zeros(n_features))
        self.register_buffer("width", torch.ones(n_features))
        self.n_outputs = n_features

    def adapt(self, x: Tensor) -> None:
        """Learn from rows ``x`` of shape (n, n_features)."""
        low, middle, high = quantiles(x, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
        width = torch.where(high > low, high - low, (x.amax(0) - x.amin(0)).double())
        self.median.copy_(middle)
        self.width.copy_(torch.where(width > 0, width, torch.ones_like(width)))

    def forward(self, x: Tensor) -> Tensor:
        """Encode rows."""
        z = (x - self.median) / self.width
        return z * torch.rsqrt(1 + (z / CLIP).square())


class PiecewiseLinear(nn.Module):
    """Columns as their position in quantile bins (Gorishniy et al. 2022): (B, d) -> (B, d * n_bins), in [-1, 1].

    Bin t of a column is -1 below its lower edge, 1 above its upper edge, and linear in between. Columns of few values
    have an edge at each of them; bins that a column does not have are 0.

    References
    ----------
    Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", NeurIPS 2022.
    """

    edges: Tensor
    lengths: Tensor

    def __init__(self, n_features: int, n_bins: int = 16) -> None:
        super().__init__()
        self.n_bins = max(2, min(n_bins, MOST_INPUTS // n_features))
        self.register_buffer("edges", torch.zeros(n_features, self.n_bins))
        self.register_buffer("lengths", torch.zeros(n_features, self.n_bins))
        self.n_outputs = n_features * self.n_bins

    def adapt(self, x: Tensor) -> None:
        """Learn from rows ``x`` of shape (n, n_features)."""
        self.lengths.zero_()
        cuts = quantiles(x, torch.linspace(0, 1, self.n_bins + 1, dtype=torch.float64)).T  # (d, n_bins + 1)
        for j, own in enumerate(cuts):
            values = x[:, j].unique()
            edges = (values if len(values) <= self.n_bins else own.unique()).to(self.edges)
            self.edges[j, : len(edges) - 1] = edges[:-1]
            self.lengths[j, : len(edges) - 1] = edges.diff()

    def forward(self, x: Tensor) -> Tensor:
        """Encode rows."""
        there = self.lengths > 0
        position = (x[:, :, None] - self.edges) / self.lengths.masked_fill(~there, 1)  # (B, d, n_bins)
        return ((position.clamp(0, 1) * 2 - 1) * there).flatten(1)


def quantiles(x: Tensor, at: Tensor) -> Tensor:
    """Quantiles of each column of ``x`` (n, d) at shares ``at`` (m,), linear in between: (m, d), float64."""
    ordered = x.double().sort(dim=0).values
    position = at.to(ordered) * (len(x) - 1)
    low = position.floor().long()
    high = (low + 1).clamp_max(len(x) - 1)
    return torch.lerp(ordered[low], ordered[high], (position - low)[:, None])
