"""Weak and strong views of vectors: Gaussian noise and feature masking on the scale of the features."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from noisyflywheel.views.tails import signed_exp, signed_log, tail_knee

LOUDEST = 1000.0
"""Features are taken to share a unit (pixels, dimensions of an embedding) where the largest variance is at most so many
times the median one. Measured: at most 104 on pixels, embeddings and measurements in one unit, at least 45,000 on
tables of mixed units."""

BEYOND_NEIGHBOUR = 1.3
"""How far noise moves a row, in distances to its 5th neighbour."""

QUERIES, NEIGHBOUR = 2000, 5
"""Rows whose neighbours are looked up, at most, and which neighbour's distance counts."""

DISTANCES, FEWEST = 200_000_000, 200
"""Most distances that `neighbour_noise` looks at, unless that were for fewer queries than these."""

BLOCK = 2048
"""Rows against which distances are taken at once: 2,000 queries make 16 MB."""


def feature_scale(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and scale of each feature, one common scale where the features share a unit (`share_a_unit`).

    The common scale is the root of the mean variance: it keeps quiet features quiet. In tables of mixed units each
    feature has its own standard deviation. Constant features have the common scale or 1.

    Parameters
    ----------
    x : Tensor of shape (n, d)
        Finite rows.

    Returns
    -------
    mean, scale : Tensor of shape (d,), float32
        ``scale`` is positive.
    """
    mean, variance, varying = moments(x)
    if not bool(varying.any()):
        return mean.float(), torch.ones_like(mean).float()
    if share_a_unit(variance[varying]):
        scale = variance[varying].sum().div(len(variance)).sqrt().expand_as(mean)
    else:
        scale = torch.where(varying, variance, torch.ones_like(variance)).sqrt()
    return mean.float(), scale.float()


def heavy_tails(x: Tensor) -> float:
    """`tail_knee` of rows (n, d) whose features share a unit, 0 of others."""
    x = x.double()
    _, variance, varying = moments(x)
    return tail_knee(x) if bool(varying.any()) and share_a_unit(variance[varying]) else 0.0


def moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means and variances of the features of rows (n, d), float64, and which vary but for errors of arithmetic: (d,).

    Beside features of size 1 one of size 1e-6 is taken for an error; where all are small (volts of an EEG) they vary.
    """
    x = x.double()
    mean, variance = x.mean(0), x.var(0, correction=0)
    return mean, variance, variance > 1e-12 * (variance.max().clamp_max(1) + mean.square())


def share_a_unit(variances: Tensor) -> bool:
    """Whether features of these variances (m,), all above 0, seem to be in one unit: none is far louder than most."""
    return bool(variances.max() <= LOUDEST * variances.median())


def neighbour_noise(z: Tensor) -> float:
    """Strength of noise that moves a row somewhat farther than its near neighbours are.

    `BEYOND_NEIGHBOUR` times the median distance to the 5th neighbour, divided by the root of the number of features
    that vary: a view then stays among rows that are likely to share its class. Duplicate rows do not count. Up to
    `QUERIES` rows, evenly spaced, are looked up; fewer where n is beyond 100,000, see `DISTANCES`.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Scaled rows.

    Returns
    -------
    float in [0.05, 2]
    """
    n = len(z)
    varying = max(1, int((z.var(0, correction=0) > 1e-12).sum()))
    queries = min(n, QUERIES, max(FEWEST, DISTANCES // n))
    index = torch.linspace(0, n - 1, queries, dtype=torch.float64).long()
    distance = neighbour_distance(z[index], z, min(NEIGHBOUR, max(1, n - 1)), 1e-3 * varying**0.5)
    finite = distance[torch.isfinite(distance)]  # sync: once a fit
    if not len(finite):
        return 0.05
    return float((BEYOND_NEIGHBOUR * finite.median() / varying**0.5).clamp(0.05, 2.0))


def neighbour_distance(rows: Tensor, among: Tensor, k: int, least: float) -> Tensor:
    """Distance of each row to its ``k``-th nearest among others, those within ``least`` not counted.

    Exact, block by block of ``among``: at most ``BLOCK`` x m distances are held at once, whatever n.

    Parameters
    ----------
    rows : Tensor of shape (m, d)
    among : Tensor of shape (n, d)
    k : int, at least 1
    least : float, at least 0

    Returns
    -------
    Tensor of shape (m,)
        Infinite where there are fewer than ``k``.
    """
    nearest = rows.new_full((len(rows), k), torch.inf)  # (m, k), the smallest so far
    for block in among.split(BLOCK):
        distance = torch.cdist(rows, block)  # (m, BLOCK)
        distance.masked_fill_(distance <= least, torch.inf)
        closest = distance.topk(min(k, len(block)), dim=1, largest=False).values
        nearest = torch.cat([nearest, closest], 1).topk(k, dim=1, largest=False).values
    return nearest.amax(1)


def _at_least_zero(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < float("inf")


class VectorViews(BaseEstimator):
    """Views of a vector: Gaussian noise, and more noise with masked features.

    Where the features share a unit and have heavy tails (kurtosis above 10), as activations and counts do, both are
    those of their signed logarithm.

    Parameters
    ----------
    noise : "auto" or float, default="auto"
        Standard deviation of the weak view's noise, in units of `feature_scale`. "auto" takes it from the
        distances between neighbours, see `neighbour_noise`, and lets the loop change it (``strength_``).
    strong_noise : float, default=1.5
        Noise of the strong view, in units of the weak view's.
    mask : float in [0, 1), default=0.2
        Share of the features that the strong view replaces by their mean, drawn per row.

    Attributes
    ----------
    noise_ : float
        The weak view's noise, in units of `feature_scale`.
    strength_ : float
        Factor of ``noise_`` in the views as they are now; only with ``noise="auto"``. The loop lowers it where noise
        hides what the warm-up could see, and raises it where labels are learnt by heart
        (`noisyflywheel.loop.decisions.view_strength`).
    """

    guess = ("weak", "weak", "plain")
    """f's guess is the mean over two noisy copies and the row itself, which is where f will be asked to predict."""

    def __init__(self, noise: float | str = "auto", strong_noise: float = 1.5, mask: float = 0.2) -> None:
        self.noise = noise
        self.strong_noise = strong_noise
        self.mask = mask

    def fit(self, x: Tensor) -> VectorViews:
        """Learn mean and scale of the features, and how strong noise is.

        Parameters
        ----------
        x : Tensor of shape (n, d)
            Training rows, or some of them.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For a parameter out of its range, or ``x`` that is not 2-D, or has no rows or no features.
        """
        self._check_parameters()
        if x.ndim != 2 or 0 in x.shape:
            pictures = ": pictures have ImageViews" if x.ndim > 2 else ""
            raise ValueError(f"vectors must have shape (n, d), got {tuple(x.shape)}{pictures}.")
        self.knee_ = heavy_tails(x)
        bent = self._bend(x.float())
        self.mean_, self.scale_ = feature_scale(bent)
        self.noise_ = neighbour_noise((bent - self.mean_) / self.scale_)
        if self.noise == "auto":
            self.strength_ = 1.0
        else:
            self.noise_ = float(self.noise)
        return self

    def _check_parameters(self) -> None:
        """Raise ValueError for a parameter that cannot be; the message names it."""
        if self.noise != "auto" and not _at_least_zero(self.noise):
            raise ValueError(f"noise must be 'auto' or a number >= 0, got {self.noise!r}.")
        if not _at_least_zero(self.strong_noise):
            raise ValueError(f"strong_noise must be a number >= 0, got {self.strong_noise!r}.")
        if not _at_least_zero(self.mask) or self.mask >= 1:
            raise ValueError(f"mask must be a number in [0, 1), got {self.mask!r}.")

    def plain(self, x: Tensor) -> Tensor:
        """The rows as they are: (B, d) -> (B, d), float32."""
        return x.float()

    def weak(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Rows with Gaussian noise.

        Parameters
        ----------
        x : Tensor of shape (B, d)
            Not changed.
        generator : torch.Generator, optional
            On the device of ``x``; torch's global one if not given.

        Returns
        -------
        Tensor of shape (B, d), float32
        """
        self._check_fitted()
        return self._unbend(self._noisy(x.float(), self.noise_, generator))

    def strong(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Rows with more noise and some features at their mean; parameters and result as of `weak`."""
        self._check_fitted()
        noisy = self._noisy(x.float(), self.noise_ * self.strong_noise, generator)
        drawn = torch.rand(x.shape, generator=generator, device=x.device)
        return self._unbend(torch.where(drawn < self.mask, self.mean_.to(x.device, non_blocking=True), noisy))

    def _check_fitted(self) -> None:
        """Raise NotFittedError before `fit`."""
        if not hasattr(self, "mean_"):  # takes no time, of which each batch would need some
            check_is_fitted(self, "mean_")

    def _noisy(self, x: Tensor, strength: float, generator: torch.Generator | None) -> Tensor:
        """Rows with noise, in the numbers to which it is added."""
        drawn, strength = torch.randn(x.shape, generator=generator, device=x.device), strength * self._strength
        return torch.addcmul(self._bend(x), drawn, self.scale_.to(x.device, non_blocking=True), value=strength)

    @property
    def _strength(self) -> float:
        """1 where ``noise`` is a number, and in views that an earlier version fitted."""
        return getattr(self, "strength_", 1.0)

    def _bend(self, x: Tensor) -> Tensor:
        """Heavy tails drawn in; views that an earlier version fitted know of none."""
        knee = getattr(self, "knee_", 0.0)
        return signed_log(x, knee) if knee else x

    def _unbend(self, z: Tensor) -> Tensor:
        knee = getattr(self, "knee_", 0.0)
        return signed_exp(z, knee) if knee else z
