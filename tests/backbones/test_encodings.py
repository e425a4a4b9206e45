"""Encodings of numeric columns, by hand."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from noisyflywheel.backbones.encodings import (
    PiecewiseLinear,
    QuantileScale,
    bin_edges,
    bins_of_a_column,
    count_bins,
    quantiles,
)


def test_quantiles_are_numpys():
    x = torch.randn(37, 3, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([0.0, 0.1, 0.25, 0.5, 0.9, 1.0], dtype=torch.float64)
    expected = np.quantile(x.double().numpy(), at.numpy(), axis=0)
    assert_close(quantiles(x, at), torch.from_numpy(expected))


def test_quantile_scale_by_hand():
    scale = QuantileScale(1)
    scale.adapt(torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]]))  # median 2, quartiles 1 and 3
    z = torch.tensor([0.0, 1.0, -3.0, 300.0])
    assert_close(scale(2 + 2 * z[:, None])[:, 0], z / (1 + (z / 3) ** 2).sqrt())
    assert scale(torch.tensor([[1e9]])).item() < 3.0001


def test_columns_whose_quartiles_meet_are_scaled_by_their_range_and_constant_ones_are_0():
    scale = QuantileScale(2)
    scale.adapt(torch.tensor([[0.0, 7.0]] * 9 + [[5.0, 7.0]]))
    assert scale.width.tolist() == [5.0, 1.0]
    assert scale(torch.tensor([[0.0, 7.0]])).tolist() == [[0.0, 0.0]]


def test_piecewise_linear_by_hand():
    x = torch.tensor([[0.0, 1.0], [10.0, 0.0], [20.0, 1.0]])  # edges 0, 10, 20 and 0, 1
    assert count_bins(x) == 3
    bins = PiecewiseLinear(3)
    bins.adapt(x)
    encoded = bins(torch.tensor([[5.0, 0.0], [15.0, 1.0], [-9.0, 0.25], [99.0, 1.0]]))
    expected = [[0.0, -1.0, -1.0], [1.0, 0.0, 1.0], [-1.0, -1.0, -0.5], [1.0, 1.0, 1.0]]
    assert encoded.tolist() == expected


def test_constant_columns_have_no_bin_and_what_is_not_needed_is_0():
    x = torch.tensor([[7.0, 0.0], [7.0, 1.0]])
    assert count_bins(x) == 1
    bins = PiecewiseLinear(3)
    bins.adapt(x)
    assert bins(torch.tensor([[7.0, 1.0]])).tolist() == [[1.0, 0.0, 0.0]]


def test_many_values_make_as_many_bins_of_equal_counts():
    x = torch.rand(1000, 1, generator=torch.Generator().manual_seed(0))
    (edges,) = bin_edges(x, n_bins=4)
    counts = torch.histogram(x[:, 0], edges).hist
    assert len(edges) == 5 and counts.min() >= 249


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "bins"),
    [(500, 5, 16), (1100, 5, 17), (2560, 5, 40), (3200, 5, 48), (10**6, 5, 48), (10**6, 16, 24), (10**6, 50, 16)],
)
def test_many_rows_of_few_columns_have_more_bins(n_rows, n_columns, bins):
    assert bins_of_a_column(n_rows, n_columns) == bins


def test_rows_are_encoded_with_the_bins_that_suit_them():
    x = torch.rand(3200, 2, generator=torch.Generator().manual_seed(0))
    assert count_bins(x) == 2 * 48
    assert count_bins(x[:500]) == 2 * 16


@pytest.mark.parametrize("d", [10, 500, 5000])
def test_wide_rows_are_not_encoded_at_any_length(d):
    x = torch.rand(50, d, generator=torch.Generator().manual_seed(0))
    assert count_bins(x) <= max(4096, 2 * d)
