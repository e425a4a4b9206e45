"""Weak and strong views of vectors: Gaussian noise and feature masking on the scale of the features."""

from __future__ import annotations

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

COMMENSURATE = 0.1
"""Features share a unit where their variances are carried by at least this share of them (see `feature_scale`)."""


def feature_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scale of each feature, one common scale where the features share a unit.

    The variances ``v_j`` are carried by ``(sum v)^2 / sum v^2`` features. Where that is at least
    ``COMMENSURATE`` of those that vary (pixels, embeddings, standardised tables), all features get one scale,
    the root of the mean variance: it keeps quiet features quiet. In tables of mixed units each feature has
    its own standard deviation. Constant features have the common scale or 1.

    Parameters
    ----------
    x : Tensor of shape (n, d)

    Returns
    -------
    mean, scale : Tensor of shape (d,), float32
        ``scale`` is positive.
    """
    x = x.double()
    mean, variance = x.mean(0), x.var(0, correction=0)
    varying = variance > 1e-12 * (1 + mean.square())
    if not bool(varying.any()):
        return mean.float(), torch.ones_like(mean).float()
    kept = variance[varying]
    carried = kept.sum().square() / kept.square().sum()
    if carried >= COMMENSURATE * len(kept):
        scale = kept.sum().div(len(variance)).sqrt().expand_as(mean)
    else:
        scale = torch.where(varying, variance, torch.ones_like(variance)).sqrt()
    return mean.float(), scale.float()


class VectorViews(BaseEstimator):
    """Views of a vector: Gaussian noise, and more noise with masked features.

    Parameters
    ----------
    noise : float, default=0.7
        Standard deviation of the weak view's noise, in units of `feature_scale`.
    strong_noise : float, default=1.0
        The same for the strong view.
    mask : float in [0, 1), default=0.2
        Share of the features that the strong view replaces by their mean, drawn per row.
    """

    def __init__(self, noise: float = 0.7, strong_noise: float = 1.0, mask: float = 0.2) -> None:
        self.noise = noise
        self.strong_noise = strong_noise
        self.mask = mask

    def fit(self, x: Tensor) -> VectorViews:
        """Learn mean and scale of the features of ``x``, shape (n, d)."""
        self.mean_, self.scale_ = feature_scale(x)
        return self

    def plain(self, x: Tensor) -> Tensor:
        """The rows as they are: (B, d) -> (B, d), float32."""
        return x.float()

    def weak(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Rows with Gaussian noise: (B, d) -> (B, d), float32."""
        return self._noisy(x.float(), self.noise, generator)

    def strong(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Rows with more noise and some features at their mean: (B, d) -> (B, d), float32."""
        noisy = self._noisy(x.float(), self.strong_noise, generator)
        drawn = torch.rand(x.shape, generator=generator, device=x.device)
        return torch.where(drawn < self.mask, self.mean_.to(x.device), noisy)

    def _noisy(self, x: Tensor, strength: float, generator: torch.Generator | None) -> Tensor:
        drawn = torch.randn(x.shape, generator=generator, device=x.device)
        return torch.addcmul(x, drawn, self.scale_.to(x.device), value=strength)
