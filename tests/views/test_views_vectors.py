"""Views of vectors and the scale they are measured in."""

import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch.utils._python_dispatch import TorchDispatchMode

from noisyflywheel.views import vectors
from noisyflywheel.views.vectors import VectorViews, feature_scale, neighbour_noise, share_a_unit


def rows(n=4000, scales=(1.0, 1.0, 1.0, 1.0)):
    drawn = torch.randn(n, len(scales), generator=torch.Generator().manual_seed(0))
    return drawn * torch.tensor(scales) + 5


def test_features_of_one_unit_share_one_scale():
    mean, scale = feature_scale(torch.tensor([[0.0, 0.0], [2.0, 4.0]]))
    torch.testing.assert_close(mean, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(scale, torch.full((2,), 2.5).sqrt())  # variances 1 and 4


def test_mixed_units_have_their_own_scale():
    scales = tuple([1000.0] + [1.0] * 30)
    _, scale = feature_scale(rows(scales=scales))
    torch.testing.assert_close(scale, torch.tensor(scales), rtol=0.05, atol=0)


@pytest.mark.parametrize("n_columns", [2, 3, 10])
def test_few_columns_of_mixed_units_have_their_own_scale(n_columns):
    scales = (300.0, *[1.0] * (n_columns - 1))
    _, scale = feature_scale(rows(scales=scales))
    torch.testing.assert_close(scale, torch.tensor(scales), rtol=0.1, atol=0)


def test_share_a_unit_by_hand():
    assert share_a_unit(torch.tensor([1.0, 2.0, 1000.0 * 2]))
    assert not share_a_unit(torch.tensor([1.0, 2.0, 1000.0 * 2 + 1]))


def test_constant_features_have_a_positive_scale():
    mean, scale = feature_scale(torch.full((5, 3), 7.0))
    torch.testing.assert_close(mean, torch.full((3,), 7.0))
    torch.testing.assert_close(scale, torch.ones(3))
    mixed = rows(scales=tuple([1000.0] + [1.0] * 30 + [0.0]))
    assert float(feature_scale(mixed)[1][-1]) == 1.0
    assert (feature_scale(rows(scales=(1.0, 0.0)))[1] > 0).all()


def test_rows_of_small_numbers_are_scaled_as_others():
    """Volts of an EEG, all far below 1e-6; beside larger features such small ones are errors of arithmetic."""
    x = rows().double() - 5
    for unit in (2.0**-30, 2.0**-100):
        (mean, scale), (small_mean, small_scale) = feature_scale(x), feature_scale(x * unit)
        torch.testing.assert_close(small_mean / unit, mean, rtol=1e-6, atol=0)
        torch.testing.assert_close(small_scale / unit, scale, rtol=1e-6, atol=0)
    x[:, 3] *= 2.0**-30
    assert float(feature_scale(x)[1][3]) > 0.5


def test_large_offsets_do_not_swallow_the_variance():
    x = torch.randn(1000, 4, generator=torch.Generator().manual_seed(0)).double() + 1e5
    torch.testing.assert_close(feature_scale(x)[1], torch.ones(4), rtol=0.1, atol=0)


def test_neighbour_noise_by_hand():
    """Points 1 apart on a line: the 5th neighbour inside is 3 away, so 1.3 * 3, clipped to 2."""
    line = torch.arange(101.0)[:, None]
    assert float(neighbour_noise(line)) == 2.0
    assert float(neighbour_noise(0.1 * line)) == pytest.approx(0.39, rel=1e-4)


def test_neighbour_noise_does_not_count_duplicates():
    """Six copies of points .1 apart: the 5th neighbour that is no copy is .1 away, so 1.3 * .1."""
    line = 0.1 * torch.arange(101.0)[:, None]
    assert float(neighbour_noise(line.repeat(6, 1))) == pytest.approx(0.13, rel=1e-3)
    assert float(neighbour_noise(torch.ones(50, 3))) == pytest.approx(0.05)
    assert float(neighbour_noise(torch.tensor([[0.0], [1.0]]))) == pytest.approx(1.3)


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_neighbour_distance_is_that_of_the_whole_matrix(block, monkeypatch):
    among = torch.randn(101, 3, generator=torch.Generator().manual_seed(0))
    among[50] = among[3]
    distance = torch.cdist(among[:40], among)
    expected = torch.where(distance > 1e-3, distance, torch.inf).kthvalue(4, dim=1).values
    monkeypatch.setattr(vectors, "BLOCK", block)
    torch.testing.assert_close(vectors.neighbour_distance(among[:40], among, 4, 1e-3), expected)
    assert torch.isinf(vectors.neighbour_distance(among[:2], among[:2], 2, 1e-3)).all()


class LargestTensor(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that is made."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.bytes = max(self.bytes, out.untyped_storage().nbytes())
        return out


def test_neighbour_noise_holds_few_distances_at_once():
    z = torch.randn(60_000, 1, generator=torch.Generator().manual_seed(0))
    with LargestTensor() as largest:
        neighbour_noise(z)
    assert largest.bytes < 20e6  # at most five of them live at a time: below 100 MB


def test_neighbour_noise_looks_at_fewer_queries_among_many_rows(monkeypatch):
    seen = []
    monkeypatch.setattr(
        vectors, "neighbour_distance", lambda rows, *args: seen.append(len(rows)) or torch.ones(len(rows))
    )
    for n in (100, 100_000, 400_000, 3_000_000):
        neighbour_noise(torch.arange(float(n))[:, None])
    assert seen == [100, 2000, 500, 200]


def test_weak_view_adds_noise_of_the_given_strength():
    x = rows(20_000, (2.0, 2.0))
    views = VectorViews(noise=0.5).fit(x)
    weak = views.weak(x, torch.Generator().manual_seed(1))
    torch.testing.assert_close((weak - x).std(0), torch.full((2,), 1.0), rtol=0.03, atol=0)
    assert float((weak - x).mean()) == pytest.approx(0.0, abs=0.02)


def test_strong_view_replaces_features_by_their_mean():
    x = rows(20_000)
    views = VectorViews(noise=0.5, strong_noise=2.0, mask=0.3).fit(x)
    strong = views.strong(x, torch.Generator().manual_seed(1))
    masked = strong == views.mean_
    assert float(masked.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float((strong - x)[~masked].std()) == pytest.approx(1.0, abs=0.03)


def test_plain_view_is_float32_and_shares_memory():
    x = rows(5)
    views = VectorViews().fit(x)
    assert views.plain(x).data_ptr() == x.data_ptr()
    assert views.plain(x.double()).dtype == torch.float32


def test_views_leave_rows_alone_follow_the_seed_and_clone():
    x = rows(10)
    before = x.clone()
    views = VectorViews(noise=0.3).fit(x)
    one, two = (views.weak(x, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(one, two)
    assert torch.equal(x, before)
    assert clone(views).get_params() == {"noise": 0.3, "strong_noise": 1.5, "mask": 0.2}
    assert torch.equal(VectorViews(noise=0.0).fit(x).weak(x), x)


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_views_that_are_not_fitted_are_named(view):
    with pytest.raises(NotFittedError, match="This VectorViews instance is not fitted yet"):
        getattr(VectorViews(), view)(torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((0, 3), r"got \(0, 3\)\.$"),
        ((5, 0), r"got \(5, 0\)\.$"),
        ((5,), r"got \(5,\)\.$"),
        ((2, 3, 8, 8), r"got \(2, 3, 8, 8\): pictures have ImageViews\.$"),
    ],
)
def test_rows_of_another_shape_are_refused_with_it(shape, message):
    with pytest.raises(ValueError, match=rf"vectors must have shape \(n, d\), {message}"):
        VectorViews().fit(torch.zeros(shape))
