"""A multilayer perceptron that standardises its own input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from noisyflywheel.data.devices import float64_device
from noisyflywheel.views.tails import signed_log
from noisyflywheel.views.vectors import feature_scale, heavy_tails


class MLP(nn.Module):
    """Multilayer perceptron with BatchNorm for tables and embeddings; returns logits.

    Features of one unit with heavy tails (activations, counts) are replaced by their signed logarithm first.

    Parameters
    ----------
    n_features : int
        Width of a row.
    n_classes : int
        Number of classes K.
    hidden : sequence of int, default=(256, 256)
        Widths of the hidden layers.
    dropout : float in [0, 1), default=0.0
        Dropout after each hidden layer.
    """

    mean: Tensor
    scale: Tensor
    knee: Tensor
    bends = False
    """Whether ``knee`` is above 0, known without asking the device."""

    def __init__(
        self, n_features: int, n_classes: int, hidden: Sequence[int] = (256, 256), dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.register_buffer("knee", torch.zeros(()))
        layers: list[nn.Module] = []
        width = n_features
        for size in hidden:
            layers += [nn.Linear(width, size, bias=False), nn.BatchNorm1d(size), nn.ReLU(inplace=True)]
            layers += [nn.Dropout(dropout)] if dropout else []
            width = size
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, n_classes)
        self.feature_dim = width

    def adapt(self, x: Tensor) -> None:
        """Learn the standardisation from rows ``x`` of shape (n, n_features); called once by ``fit``."""
        x = x.to(float64_device(x.device))
        knee = heavy_tails(x)
        mean, scale = feature_scale(signed_log(x, knee) if knee else x)
        self.mean.copy_(mean)
        self.scale.copy_(scale)
        self.knee.fill_(knee)
        self.bends = knee > 0

    def forward_features(self, x: Tensor) -> Tensor:
        """Penultimate features: (n, n_features) -> (n, feature_dim)."""
        x = signed_log(x, self.knee) if self.bends else x
        return self.body((x - self.mean) / self.scale)

    def forward_head(self, features: Tensor) -> Tensor:
        """Logits of features: (n, feature_dim) -> (n, n_classes)."""
        return self.head(features)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of rows: (n, n_features) -> (n, n_classes)."""
        return self.forward_head(self.forward_features(x))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """As torch does it; weights of earlier versions have no ``knee``."""
        knee = state_dict.setdefault(f"{prefix}knee", torch.zeros(()))
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.bends = bool(knee > 0)
