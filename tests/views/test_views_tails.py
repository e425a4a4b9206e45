"""Heavy tails: when the logarithm bends, that it is undone, and that views and the default net use the same one."""

import math

import pytest
import torch
from torch import nn

from noisyflywheel.backbones import MLP
from noisyflywheel.views.tails import HEAVY, signed_exp, signed_log, tail_knee
from noisyflywheel.views.vectors import VectorViews, heavy_tails


def activations(n=400, d=40):
    """Half of the numbers are 0, the others are log-normal: kurtosis about 1,000."""
    generator = torch.Generator().manual_seed(0)
    size = (1.5 * torch.randn(n, d, generator=generator)).exp()
    return size * (torch.rand(n, d, generator=generator) < 0.5)


def test_knee_by_hand():
    """One column of 36 zeros and a pair of 3 and -3: variance 18/38, kurtosis 38/2 = 19; 16 zeros: 18/2 = 9."""
    pair = torch.tensor([[3.0], [-3.0]])
    assert tail_knee(torch.cat([pair, torch.zeros(36, 1)])) == 0.75
    assert tail_knee(torch.cat([pair, torch.zeros(16, 1)])) == 0.0
    assert 9 < HEAVY < 19


def test_gaussian_and_constant_numbers_have_no_heavy_tails():
    assert tail_knee(torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))) == 0.0
    assert tail_knee(torch.full((10, 3), 7.0)) == 0.0
    assert heavy_tails(torch.full((10, 3), 7.0)) == 0.0


def test_the_unit_does_not_matter():
    x = activations()
    knee = tail_knee(x)
    assert knee > 0
    assert tail_knee(1000 * x) == pytest.approx(1000 * knee)
    torch.testing.assert_close(signed_log(1000 * x, 1000 * knee), signed_log(x, knee))


def test_features_of_mixed_units_are_left_alone():
    x = activations()
    assert heavy_tails(x) > 0
    assert heavy_tails(x * torch.cat([torch.full((1,), 1e4), torch.ones(39)])) == 0.0


def test_signed_exp_undoes_signed_log():
    x = torch.tensor([-50.0, -1.0, 0.0, 1e-3, 2.0, 1e5])
    torch.testing.assert_close(
        signed_log(torch.tensor([-2.0, 0.0, 6.0]), 2.0), torch.tensor([-1.0, 0.0, 2.0]) * math.log(2)
    )
    torch.testing.assert_close(signed_exp(signed_log(x, 2.0), 2.0), x)


def test_views_of_heavy_tails_are_noisy_in_the_logarithm():
    """Noise is as strong for large numbers as for small ones, in units of the logarithm."""
    x = activations()
    views = VectorViews().fit(x)
    noise = signed_log(views.weak(x, torch.Generator().manual_seed(1)), views.knee_) - signed_log(x, views.knee_)
    large = x > x.quantile(0.95)
    assert float(noise[large].std() / noise[~large].std()) == pytest.approx(1.0, abs=0.1)
    assert float(noise.std() / views.scale_[0]) == pytest.approx(views.noise_, rel=0.05)
    assert views.plain(x).equal(x)


def test_strong_views_put_masked_features_at_the_mean_of_the_logarithm():
    x = activations()
    views = VectorViews(noise=0.0).fit(x)
    strong = views.strong(x, torch.Generator().manual_seed(1))
    masked = (signed_log(strong, views.knee_) - views.mean_).abs() < 1e-5
    assert float(masked.float().mean()) == pytest.approx(0.2, abs=0.02)
    torch.testing.assert_close(strong[~masked], x[~masked])


def test_rows_without_heavy_tails_have_the_views_they_had():
    x = torch.randn(200, 40, generator=torch.Generator().manual_seed(0))
    views = VectorViews().fit(x)
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    assert views.knee_ == 0
    assert views.weak(x, torch.Generator().manual_seed(1)).equal(
        torch.addcmul(x, drawn, views.scale_, value=views.noise_)
    )


def test_the_net_sees_the_logarithm():
    x = activations()
    net = MLP(40, 3, hidden=())
    net.head = nn.Identity()
    net.adapt(x)
    seen = net(x)
    assert net.bends and float(net.knee) == pytest.approx(heavy_tails(x))
    torch.testing.assert_close(seen.mean(0), torch.zeros(40), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen * net.scale + net.mean, signed_log(x, net.knee))


def test_weights_take_the_knee_along_and_those_without_one_load():
    x = activations()
    net, other = MLP(40, 3).eval(), MLP(40, 3).eval()
    net.adapt(x)
    other.load_state_dict(net.state_dict())
    assert other(x).equal(net(x))
    earlier = {name: value for name, value in net.state_dict().items() if name != "knee"}
    other.load_state_dict(earlier)
    assert not other.bends and not other(x).equal(net(x))


def test_views_that_an_earlier_version_fitted_have_no_logarithm():
    x = torch.randn(200, 40, generator=torch.Generator().manual_seed(0))
    views = VectorViews().fit(x)
    made = views.weak(x, torch.Generator().manual_seed(1))
    del views.knee_
    assert views.weak(x, torch.Generator().manual_seed(1)).equal(made)
