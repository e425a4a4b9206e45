"""A net that sees smaller pictures early in its training, where details cost time and teach little."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from noisyflywheel.backbones.resnet import PreActResNet18


class ProgressivePreActResNet18(PreActResNet18):
    """`PreActResNet18` on pictures shrunk to ``side`` pixels, which a schedule lets grow; saved with the weights.

    Parameters
    ----------
    n_classes : int, default=10
    in_channels : int, default=3
    compiled : bool, default=False
        Whether `torch.compile` takes the stages, in place: names of weights and pickles stay as they are.

    Attributes
    ----------
    side : int
        Side of the pictures that the net works on, at training and prediction alike; 0 leaves them as they are.
    """

    def __init__(self, n_classes: int = 10, in_channels: int = 3, compiled: bool = False) -> None:
        super().__init__(n_classes, in_channels)
        self.side = 0
        if compiled:
            self.stages.compile()

    def forward_features(self, x: Tensor) -> Tensor:
        """Map pictures (n, C, H, W), float, to features (n, feature_dim)."""
        return super().forward_features(shrink(x, self.side))

    def get_extra_state(self) -> Tensor:
        """The side, for ``state_dict``."""
        return torch.tensor(self.side)

    def set_extra_state(self, state: Tensor) -> None:
        """The side, from ``load_state_dict``."""
        self.side = int(state)


def shrink(x: Tensor, side: int) -> Tensor:
    """Pictures (n, C, H, W) of ``side`` pixels on the shorter side, smoothed; smaller ones stay, and 0 leaves all."""
    shorter = min(x.shape[2:])
    if not 0 < side < shorter:
        return x
    size = [round(length * side / shorter) for length in x.shape[2:]]
    return F.interpolate(x, size, mode="bilinear", antialias=True)
