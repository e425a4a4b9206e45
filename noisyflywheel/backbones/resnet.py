"""Pre-activation residual networks for images of 8 to 64 pixels a side.

He et al., "Identity mappings in deep residual networks", ECCV 2016.  A 3x3 stem without pooling, stages that
halve the picture and double the channels, a closing BatchNorm + ReLU, mean over the picture.  No convolution
has a bias.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

FEW_CHANNELS = 8
"""Below so many, a strided 1x1 convolution that runs channels last has made torch 2.14 write beyond its memory on CPUs
without AVX-512."""


class EveryOther(nn.Conv2d):
    """A strided 1x1 convolution as one without a stride of the pixels that it takes."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, C, H, W) to (n, C', H/stride, W/stride)."""
        down, right = self.stride
        return F.conv2d(x[:, :, ::down, ::right], self.weight, self.bias)


class PreActBlock(nn.Module):
    """Residual block BN-ReLU-conv-BN-ReLU-conv; the shortcut leaves after the first ReLU where shapes change.

    Parameters
    ----------
    in_channels, out_channels : int
    stride : int
        Of the first convolution and of the 1x1 shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)
        self.shortcut: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            conv = EveryOther if in_channels < FEW_CHANNELS else nn.Conv2d
            self.shortcut = conv(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, C, H, W) to (n, C', H/stride, W/stride)."""
        active = F.relu(self.bn1(x), inplace=True)
        skip = x if self.shortcut is None else self.shortcut(active)
        out = self.conv1(active)
        out = self.conv2(F.relu(self.bn2(out), inplace=True))
        return out + skip


class Stages(nn.Sequential):
    """Stages one after the other: a `forward` of this package, which `torch.compile` takes as one graph."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, C, H, W) to (n, C', H', W')."""
        for stage in self:
            x = stage(x)
        return x


class PreActResNet(nn.Module):
    """Pre-activation ResNet with one stage for each entry of `blocks`.

    Parameters
    ----------
    n_classes : int
        K, the width of the logits.
    in_channels : int
        Channels of the pictures.
    width : int
        Channels of the stem and of the first stage; each later stage doubles them.
    blocks : sequence of int
        Blocks in each stage; every stage but the first halves height and width.

    Attributes
    ----------
    feature_dim : int
        Width of ``forward_features``: ``width * 2 ** (len(blocks) - 1)``.
    """

    def __init__(self, n_classes: int, in_channels: int, width: int, blocks: Sequence[int]) -> None:
        super().__init__()
        self.stem = conv3x3(in_channels, width)
        stages, channels = [], width
        for s, n_blocks in enumerate(blocks):
            out = width * 2**s
            stages.append(stage(channels, out, n_blocks, stride=1 if s == 0 else 2))
            channels = out
        self.stages = Stages(*stages)
        self.bn = nn.BatchNorm2d(channels)
        self.feature_dim = channels
        self.head = nn.Linear(channels, n_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Map pictures (n, C, H, W), float, to features (n, feature_dim)."""
        x = self.stages(self.stem(x))  # (n, d, H', W')
        return F.relu(self.bn(x), inplace=True).mean(dim=(2, 3))

    def forward_head(self, features: Tensor) -> Tensor:
        """Map features (n, feature_dim) to logits (n, K)."""
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (n, C, H, W), float, to logits (n, K)."""
        return self.forward_head(self.forward_features(x))


class SmallResNet(PreActResNet):
    """Small pre-activation ResNet that a CPU trains: the default net for images.

    Parameters
    ----------
    n_classes : int, default=10
    in_channels : int, default=3
    width : int, default=16
        Channels of the first stage.
    n_stages : int, default=3
        Each later stage halves the picture and doubles the channels.
    blocks_per_stage : int, default=1
        Residual blocks (two 3x3 convolutions) in each stage.
    """

    def __init__(
        self,
        n_classes: int = 10,
        in_channels: int = 3,
        width: int = 16,
        n_stages: int = 3,
        blocks_per_stage: int = 1,
    ) -> None:
        super().__init__(n_classes, in_channels, width, [blocks_per_stage] * n_stages)


class PreActResNet18(PreActResNet):
    """The 18-layer net of Sec. 4.2 for 32x32 and 64x64 pictures: 64-128-256-512 channels, two blocks each.

    Parameters
    ----------
    n_classes : int, default=10
    in_channels : int, default=3
    """

    def __init__(self, n_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__(n_classes, in_channels, 64, (2, 2, 2, 2))


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Give a 3x3 convolution that keeps the size at stride 1; no bias, a BatchNorm follows."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def stage(in_channels: int, out_channels: int, n_blocks: int, stride: int) -> nn.Sequential:
    """Give one stage: `n_blocks` blocks, the first of which has the stride and changes the channels."""
    first = PreActBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(PreActBlock(out_channels, out_channels) for _ in range(n_blocks - 1)))
