"""Pre-activation ResNets: shapes, sizes, structure."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from noisyflywheel.backbones import PreActResNet18, SmallResNet
from noisyflywheel.backbones.resnet import EveryOther, PreActBlock


@pytest.mark.parametrize("size", [32, 64])
def test_preact_resnet18(size):
    net = PreActResNet18(n_classes=7).eval()
    x = torch.randn(2, 3, size, size)
    features = net.forward_features(x)
    assert features.shape == (2, net.feature_dim) == (2, 512)
    assert net(x).shape == (2, 7)
    torch.testing.assert_close(net(x), net.forward_head(features))


def test_preact_resnet18_has_eighteen_layers_and_its_published_size():
    net = PreActResNet18()
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convs) + 1 == 18
    assert round(sum(p.numel() for p in net.parameters()) / 1e6, 1) == 11.2


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (4, 20, 28)])
def test_small_resnet_takes_any_picture(shape):
    net = SmallResNet(n_classes=5, in_channels=shape[0])
    assert net(torch.randn(3, *shape)).shape == (3, 5)
    assert net.feature_dim == 64


def test_small_resnet_by_parameters():
    net = SmallResNet(width=8, n_stages=2, blocks_per_stage=3)
    assert net.feature_dim == 16
    assert sum(isinstance(m, PreActBlock) for m in net.modules()) == 6


def test_no_convolution_has_a_bias():
    assert all(m.bias is None for m in PreActResNet18().modules() if isinstance(m, nn.Conv2d))


def test_block_is_the_identity_where_its_convolutions_are_zero():
    block = PreActBlock(4, 4).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 4, 6, 6)
    before = x.clone()
    torch.testing.assert_close(block(x), before)
    torch.testing.assert_close(x, before)


def test_gradient_reaches_the_stem():
    net = SmallResNet()
    net(torch.randn(4, 3, 16, 16)).square().mean().backward()
    assert net.stem.weight.grad.abs().sum() > 0


def test_a_shortcut_of_few_channels_is_the_same_convolution():
    """Below eight channels the pixels are taken before the convolution, see `EveryOther`."""
    few, many = PreActBlock(4, 8, stride=2).shortcut, PreActBlock(8, 16, stride=2).shortcut
    assert type(few) is EveryOther and type(many) is nn.Conv2d
    x = torch.randn(2, 4, 7, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(few(x), F.conv2d(x, few.weight, stride=2))
