"""Encodings of numeric columns, learnt from the rows without labels: quantile scale and piecewise-linear bins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLIP = 3.0
"""Where the smooth clip of `QuantileScale` levels off, in interquartile ranges."""

FARTHEST = 1e9
"""Values beyond so many interquartile ranges are as far away: their square would be infinite in float32."""

N_BINS = 16
"""Bins of a column at most, where there are few rows or many columns."""

MOST_BINS, ROOMY_INPUTS, ROWS_A_BIN = 48, 384, 64
"""With so many rows for each of them a column has more bins, so many at most, as long as the encoding of all columns is
no longer than this: in few columns much hangs on where exactly a number lies."""

MOST_INPUTS = 4096
"""Wide tables get fewer bins a column, so that their encoding is no longer than this."""


class QuantileScale(nn.Module):
    """Columns in units of their interquartile range around the median, far values drawn in: (B, d) -> (B, d).

    ``z / sqrt(1 + (z / 3)^2)`` leaves the bulk as it is and keeps outliers below 3. Where the quartiles meet, the unit
    is the median distance of all other values from the median: 1 for a flag. A constant column is 0.
    """

    median: Tensor
    width: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("median", torch.zeros(n_features))
        self.register_buffer("width", torch.ones(n_features))

    def adapt(self, x: Tensor) -> None:
        """Learn from rows ``x`` of shape (n, n_features)."""
        low, middle, high = quantiles(x, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
        width = high - low
        meet = (width == 0).nonzero().squeeze(1)
        far = (x[:, meet] - middle[meet]).abs().double()
        width[meet] = far.where(far > 0, torch.nan).nanmedian(0).values.nan_to_num()
        self.median.copy_(middle)
        self.width.copy_(torch.where(width > 0, width, torch.ones_like(width)))

    def forward(self, x: Tensor) -> Tensor:
        """Encode rows."""
        z = ((x - self.median) / self.width).clamp(-FARTHEST, FARTHEST)
        return z * torch.rsqrt(1 + (z / CLIP).square())


class PiecewiseLinear(nn.Module):
    """Columns as their position in quantile bins (Gorishniy et al. 2022): (B, d) -> (B, n_encoded), in [-1, 1].

    Bin t of a column is -1 below its lower edge, 1 above its upper edge, and linear in between. A column of few values
    has an edge at each of them, so a binary one has one bin and a constant one none. A value that most rows share has
    one edge, and the others are spread over the rest of the rows.

    Parameters
    ----------
    n_encoded : int
        Bins of all columns together, see `count_bins`; what `adapt` does not need is 0.

    References
    ----------
    Gorishniy, Rubachev and Babenko, "On Embeddings for Numerical Features in Tabular Deep Learning", NeurIPS 2022.
    """

    column: Tensor
    lower: Tensor
    length: Tensor

    def __init__(self, n_encoded: int) -> None:
        super().__init__()
        self.register_buffer("column", torch.zeros(n_encoded, dtype=torch.int64))
        self.register_buffer("lower", torch.zeros(n_encoded))
        self.register_buffer("length", torch.zeros(n_encoded))

    def adapt(self, x: Tensor) -> None:
        """Learn from rows ``x`` of shape (n, n_features)."""
        edges = bin_edges(x)
        lengths = torch.cat([own.diff() for own in edges])
        n = len(lengths)
        self.length.zero_()
        self.length[:n] = lengths
        self.lower[:n] = torch.cat([own[:-1] for own in edges])
        self.column[:n] = torch.cat([torch.full((len(own) - 1,), j) for j, own in enumerate(edges)])

    def forward(self, x: Tensor) -> Tensor:
        """Encode rows."""
        there = (self.length > 0).to(x.dtype)
        slope = 2 * there / torch.where(self.length > 0, self.length, 1)
        position = x.index_select(1, self.column).sub_(self.lower).mul_(slope)  # (B, n_encoded), 0..2 inside the bin
        return position.sub_(there).clamp_(-1, 1)


def count_bins(x: Tensor) -> int:
    """Bins of all columns of rows ``x`` (n, d) together."""
    return sum(len(own) - 1 for own in bin_edges(x))


def bins_of_a_column(n_rows: int, n_columns: int, taken: int = 0) -> int:
    """Bins of a column at most, where ``n_columns`` share what the bins ``taken`` by columns of few values leave."""
    more = min(MOST_BINS, (ROOMY_INPUTS - taken) // n_columns, n_rows // ROWS_A_BIN)
    return max(2, min(max(N_BINS, more), (MOST_INPUTS - taken) // n_columns))


def most_bins(n_columns: int) -> int:
    """Bins of all columns together at most, whatever their values are."""
    return max(min(MOST_BINS * n_columns, ROOMY_INPUTS), min(N_BINS * n_columns, MOST_INPUTS), 2 * n_columns)


def bin_edges(x: Tensor, n_bins: int | None = None) -> list[Tensor]:
    """Edges of the bins of each column of ``x`` (n, d): its values where they are few, otherwise quantiles.

    Where most columns have few values, as flags do, the others share the room that these leave.
    """
    ordered = x.sort(dim=0).values.T.contiguous()  # (d, n)
    values = [own.unique_consecutive() for own in ordered]
    if n_bins is None:
        few = [len(own) - 1 for own in values if len(own) <= N_BINS]
        most_have_few = len(values) / 2 < len(few) < len(values) and sum(few) <= MOST_INPUTS // 2
        few = few if most_have_few else []
        n_bins = bins_of_a_column(len(x), len(values) - len(few), sum(few))
    return [
        own if len(own) <= n_bins else spread_edges(column, n_bins) for own, column in zip(values, ordered, strict=True)
    ]


def spread_edges(ordered: Tensor, n_bins: int) -> Tensor:
    """Up to ``n_bins + 1`` edges at quantiles of a column in order, (n,), that has more values than that.

    Where half of the quantiles or more fall on values that others fall on too, such a value has one edge, and the other
    edges are quantiles of the rows without it.
    """
    edges = quantile_edges(ordered, n_bins)[0]
    if 2 * len(edges) > n_bins + 1:
        return edges
    edges, rest = ordered[:0], ordered
    while len(rest):
        cuts, counts = quantile_edges(rest, max(0, n_bins - len(edges)))
        shared = cuts[counts > 1]
        if not len(shared):
            edges = torch.cat([edges, cuts])
            break
        edges, rest = torch.cat([edges, shared]), rest[~torch.isin(rest, shared)]
    return edges.unique()


def quantile_edges(ordered: Tensor, n_bins: int) -> tuple[Tensor, Tensor]:
    """Quantiles at steps of ``1 / n_bins`` of a column in order, (n,), that differ; and how many are equal to each."""
    cuts = of_ordered(ordered[:, None], torch.linspace(0, 1, n_bins + 1, dtype=torch.float64))[:, 0]
    return cuts.to(ordered.dtype).unique(return_counts=True)


def quantiles(x: Tensor, at: Tensor) -> Tensor:
    """Quantiles of each column of ``x`` (n, d) at shares ``at`` (m,), linear in between: (m, d), float64."""
    return of_ordered(x.sort(dim=0).values, at)


def of_ordered(ordered: Tensor, at: Tensor) -> Tensor:
    """`quantiles` of columns whose values are in order."""
    position = at.to(ordered.device) * (len(ordered) - 1)
    low = position.floor().long()
    high = (low + 1).clamp_max(len(ordered) - 1)
    return torch.lerp(ordered[low].double(), ordered[high].double(), (position - low)[:, None])
