"""Views on the device: those of the CPU where drawn on the host, seeded, and no read."""

import pytest
import torch
from host_reads import HostReads
from made import make_pictures, make_rows

from noisyflywheel.views import ImageViews, VectorViews

N = 1_200


@pytest.mark.parametrize("view", ["plain", "weak", "strong"])
def test_views_are_those_of_the_cpu(device, view):
    x = torch.from_numpy(make_pictures(N, side=16)[0])
    views = ImageViews().fit(x)

    def make(where):
        return views.plain(where) if view == "plain" else getattr(views, view)(where, torch.Generator().manual_seed(0))

    there = make(x.to(device))
    assert there.device.type == device.type
    off = (make(x) - there.cpu()).abs() * views.std_[:, None, None] * 255
    assert (off > 1.01).float().mean() < 1e-3  # a rounding the other way moves one of 256 steps
    assert off.mean() < 0.05


@pytest.mark.parametrize("view", ["weak", "strong"])
def test_views_differ_by_seed_and_are_not_the_rows(device, view):
    x = torch.from_numpy(make_pictures(N)[0]).to(device)
    views = ImageViews().fit(x.cpu())
    draw = lambda seed: getattr(views, view)(x, torch.Generator().manual_seed(seed))  # noqa: E731
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
    assert not torch.equal(draw(0), views.plain(x))


def test_no_read_inside_a_view(device):
    x = torch.from_numpy(make_pictures(N)[0]).to(device)
    views = ImageViews().fit(x.cpu())
    generator = torch.Generator().manual_seed(0)
    views.strong(x, generator)
    with HostReads(device) as reads:
        views.plain(x)
        views.weak(x, generator)
        views.strong(x, generator)
    assert reads.not_listed() == {}


def test_views_of_vectors_are_seeded_there(device):
    x = torch.from_numpy(make_rows(N)[0]).to(device)
    views = VectorViews().fit(x)
    draw = lambda seed: views.weak(x, torch.Generator(device).manual_seed(seed))  # noqa: E731
    assert draw(0).device.type == device.type
    assert torch.equal(draw(0), draw(0))
    assert not torch.equal(draw(0), draw(1))
