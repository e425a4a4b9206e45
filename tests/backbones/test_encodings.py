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
    most_bins,
    quantiles,
    spread_edges,
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


def test_numbers_that_stand_for_missing_ones_are_far_away():
    """NetCDF's 9.97e36 and float32's largest: their square is infinite."""
    scale = QuantileScale(1)
    scale.adapt(torch.arange(9.0)[:, None])
    far = torch.tensor([1e19, 9.96921e36, 3e38, -3e38])[:, None]
    assert_close(scale(far)[:, 0], torch.tensor([3.0, 3.0, 3.0, -3.0]))


def test_columns_whose_quartiles_meet_are_scaled_by_their_other_values_and_constant_ones_are_0():
    """A flag of 0 and 5; mostly 3, and 1, 4, 5 and 999 once each: 2, 1, 2 and 996 from 3; a constant column."""
    scale = QuantileScale(3)
    rare = [1.0, 4.0, 5.0, 999.0]
    x = torch.tensor([[0.0, 3.0, 7.0]] * 16 + [[5.0, value, 7.0] for value in rare])
    scale.adapt(x)
    assert scale.width.tolist() == [5.0, 2.0, 1.0]
    assert scale(torch.tensor([[0.0, 3.0, 7.0]])).tolist() == [[0.0, 0.0, 0.0]]


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


def test_a_value_that_most_rows_share_has_one_edge_and_the_others_are_spread_over_the_rest():
    """Four of five quantiles are 0; those of the other rows are 1, 2, 3 and 4. Then 1 is shared too."""
    assert spread_edges(torch.tensor([0.0] * 16 + [1, 2, 3, 4]), 4).tolist() == [0, 1, 2, 3, 4]
    found = spread_edges(torch.tensor([0.0] * 70 + [1.0] * 20 + list(range(2, 12))), 5)
    assert found.tolist() == [0, 1, 2, 5, 8, 11]


def test_quantiles_stay_where_fewer_than_half_of_them_fall_together():
    """Two of five are 0."""
    assert spread_edges(torch.tensor([0.0, 0, 0, 0, 1, 2, 3, 4, 5]), 4).tolist() == [0, 1, 3, 5]


@pytest.mark.parametrize("n_bins", [5, 16])
@pytest.mark.parametrize("share", [0.0, 0.9, 0.99])
def test_edges_of_shared_values(n_bins, share):
    """As many edges as asked for, from the least to the largest value, whatever share of the rows is 0."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(1000, generator=rng).exp() * (torch.rand(1000, generator=rng) >= share)
    edges = spread_edges(x.sort().values, n_bins)
    assert len(edges) == n_bins + 1 and edges[0] == x.min() and edges[-1] == x.max() and (edges.diff() > 0).all()


@pytest.mark.parametrize(
    ("n_rows", "n_columns", "taken", "bins"),
    [
        (500, 5, 0, 16),
        (1100, 5, 0, 17),
        (2560, 5, 0, 40),
        (3200, 5, 0, 48),
        (10**6, 5, 0, 48),
        (10**6, 16, 0, 24),
        (10**6, 50, 0, 16),
        (10**6, 8, 128, 32),
        (10**6, 8, 380, 16),
    ],
)
def test_many_rows_of_few_columns_have_more_bins(n_rows, n_columns, taken, bins):
    assert bins_of_a_column(n_rows, n_columns, taken) == bins


def test_flags_leave_their_room_to_columns_of_many_values():
    """Six columns share the 384 - 100 bins that a hundred flags leave, not those of six; beside 400 they have 16."""
    x = torch.rand(4000, 6, generator=torch.Generator().manual_seed(0))
    flags = (torch.rand(4000, 100, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    assert count_bins(torch.cat([x, flags], 1)) == 6 * 47 + 100
    assert count_bins(flags) == 100
    assert count_bins(torch.cat([x, flags[:, :6]], 1)) == 6 * 32 + 6
    assert count_bins(torch.cat([x, *[flags] * 4], 1)) == 6 * 16 + 400
    assert count_bins(torch.cat([x, *[flags[:, :50]] * 40], 1)) == 6 * 16 + 2000
    assert count_bins(torch.cat([x, *[flags[:, :50]] * 41], 1)) == 6 * 2 + 2050


def test_rows_are_encoded_with_the_bins_that_suit_them():
    x = torch.rand(3200, 2, generator=torch.Generator().manual_seed(0))
    assert count_bins(x) == 2 * 48
    assert count_bins(x[:500]) == 2 * 16


@pytest.mark.parametrize("d", [10, 500, 5000])
def test_wide_rows_are_not_encoded_at_any_length(d):
    x = torch.rand(50, d, generator=torch.Generator().manual_seed(0))
    assert count_bins(x) <= max(4096, 2 * d)


@pytest.mark.parametrize("d", [1, 5, 20, 23, 60, 300, 3000])
@pytest.mark.parametrize("n_few", [0, 4, 150])
def test_most_bins(d, n_few):
    rng = torch.Generator().manual_seed(0)
    few = torch.randint(0, 15, (5000, min(n_few, d)), generator=rng).float()
    x = torch.cat([few, torch.rand(5000, d - few.shape[1], generator=rng)], 1)
    assert count_bins(x) <= most_bins(d)
    if n_few == 0 and d in (1, 60, 3000):
        assert count_bins(x) == most_bins(d)
