"""The large nets of Sec. 4.2, from the libraries that keep them: torchvision and timm."""

from __future__ import annotations

from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from noisyflywheel.data.paths import user_path


class BodyAndHead(nn.Module):
    """A body that gives pooled features, and a new linear head.

    Parameters
    ----------
    body : Module
        Maps pictures (n, C, H, W) to features (n, feature_dim).
    feature_dim : int
    n_classes : int
    """

    def __init__(self, body: nn.Module, feature_dim: int, n_classes: int) -> None:
        super().__init__()
        self.body = body
        self.feature_dim = feature_dim
        self.head = nn.Linear(feature_dim, n_classes)

    def forward_features(self, x: Tensor) -> Tensor:
        """Map pictures (n, C, H, W), float, to features (n, feature_dim)."""
        return self.body(x)

    def forward_head(self, features: Tensor) -> Tensor:
        """Map features (n, feature_dim) to logits (n, K)."""
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        """Map pictures (n, C, H, W), float, to logits (n, K)."""
        return self.forward_head(self.forward_features(x))


def resnet50(n_classes: int = 10, in_channels: int = 3, weights: str | PathLike[str] | None = None) -> BodyAndHead:
    """Build torchvision's ResNet-50, for Clothing1M (Sec. 4.2), with a new head.

    Parameters
    ----------
    n_classes : int, default=10
    in_channels : int, default=3
        Another number than 3 gets a new first convolution; only with ``weights=None``.
    weights : None, str or path
        None: random.  A name of torchvision (``"IMAGENET1K_V1"``, ``"DEFAULT"``), downloaded by torchvision.
        A path: a state-dict file of torchvision's ResNet-50, read with ``weights_only=True``; its head, of any number
        of classes or left out, is unused.

    Returns
    -------
    BodyAndHead
        Logits (n, K) from ``forward``.

    Raises
    ------
    ValueError
        If weights are given for another number of channels, or are neither a known name nor a file.
    """
    from torchvision.models import ResNet50_Weights
    from torchvision.models import resnet50 as build

    if weights is not None and in_channels != 3:
        raise ValueError(f"pretrained weights of ResNet-50 need in_channels=3, got {in_channels}")
    names = tuple(ResNet50_Weights.__members__)
    net: Any = build(weights=weights if weights in names else None)
    feature_dim = net.fc.in_features
    net.fc = nn.Identity()
    if weights is not None and weights not in names:
        saved = _state_dict(weights, names)
        net.load_state_dict({name: value for name, value in saved.items() if not name.startswith("fc.")})
    if in_channels != 3:
        net.conv1 = nn.Conv2d(in_channels, 64, 7, 2, padding=3, bias=False)
    return BodyAndHead(net, feature_dim, n_classes)


def inception_resnet_v2(n_classes: int = 10, in_channels: int = 3, weights: str | None = None) -> BodyAndHead:
    """Build timm's Inception-ResNet-v2, for WebVision (Sec. 4.2), with a new head; pictures of 299 pixels.

    Parameters
    ----------
    n_classes : int, default=10
    in_channels : int, default=3
    weights : None or "DEFAULT"
        None: random, as the paper.  "DEFAULT": timm's ImageNet weights, downloaded by timm.

    Returns
    -------
    BodyAndHead
        Logits (n, K) from ``forward``.

    Raises
    ------
    ImportError
        If timm is not installed.
    ValueError
        For other weights.
    """
    if weights not in (None, "DEFAULT"):
        raise ValueError(f"weights must be None or 'DEFAULT', got {weights!r}")
    try:
        import timm
    except ImportError as error:
        message = "inception_resnet_v2 needs timm; install it with: pip install 'noisyflywheel[timm]'"
        raise ImportError(message) from error
    make: Any = timm.create_model  # its parameters are untyped or typed, by version
    body = make("inception_resnet_v2", pretrained=weights is not None, num_classes=0, in_chans=in_channels)
    return BodyAndHead(body, body.num_features, n_classes)


def _state_dict(path: str | PathLike[str], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Read a state-dict file without running code from it; ValueError where there is no such file."""
    if not user_path(path).is_file():
        raise ValueError(f"weights must be None, one of {names} or a state-dict file, got {str(path)!r}")
    return torch.load(user_path(path), map_location="cpu", weights_only=True)
