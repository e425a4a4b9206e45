"""Views of pictures, batched on their device: plain, weak (crop and flip) and strong (weak + RandAugment)."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from noisyflywheel.views.channels import given_or_measured, statistics, warn_of_other_units
from noisyflywheel.views.randaugment import MAX_MAGNITUDE, draw, host_generator, rand_augment, to_device

_BLOCK = 2**21  # values per step of a view on the CPU: 682 pictures of 32x32x3


class ImageViews(BaseEstimator):
    """Random copies of pictures, every picture with its own draw (Sec. 4.1, "Data augmentation").

    All views come out normalised per channel, float32, channels last in memory.  No step waits for the
    device: draws are made on the host, so CPU and CUDA see the same views up to rounding where the
    generator is on the CPU.  One call launches a few hundred small kernels whatever the batch: on CUDA give
    it thousands of pictures at once.

    Parameters
    ----------
    pad : "auto" or int, default="auto"
        Black frame, in pixels, from which the weak view crops; 0 = no crop. "auto" is an eighth of the shorter side,
        rounded down: 4 for 32 x 32, as in the paper.
    flip : bool, default=True
        Mirror half of the pictures left to right.
    n_ops : int, default=2
        RandAugment operations per picture in the strong view.
    magnitude : int in 0..30, default=10
        Strength of each operation, on torchvision's scale.
    mean, std : sequence of C floats, optional
        Normalise with these instead of the statistics of the data: in [0, 1] for 8-bit pictures, as
        torchvision states them, and in the data's own units for float pictures.

    Attributes
    ----------
    mean_, std_ : Tensor of shape (C,), float32, on the CPU
    low_, high_ : float
        What black and white mean in the units of `mean_`: 0 and 1 for 8-bit pictures, smallest and
        largest value of the data for float pictures.
    pad_ : int
        Width of the frame.

    Notes
    -----
    RandAugment is defined on 8-bit values.  Float pictures are therefore rounded to 256 steps between `low_`
    and `high_` in the strong view, and only there.  Grey pictures and those with four channels work as well:
    "Color" leaves them as they are.
    """

    generator_device = "cpu"
    """Where the generator should live, for the same views on every device."""

    def __init__(
        self,
        pad: int | str = "auto",
        flip: bool = True,
        n_ops: int = 2,
        magnitude: int = 10,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        self.pad = pad
        self.flip = flip
        self.n_ops = n_ops
        self.magnitude = magnitude
        self.mean = mean
        self.std = std

    def fit(self, X: Any, y: Any = None) -> ImageViews:
        """Learn channel means and standard deviations, and the range of float pictures.

        Parameters
        ----------
        X : Tensor or array of shape (n, C, H, W), uint8 or float
            Read in chunks; a memory map stays one.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            For a parameter of the wrong type or range, X that is not 4-D, or values that are not finite.

        Warns
        -----
        UserWarning
            If `mean` and `std` seem to be in other units than float pictures.
        """
        self._check_parameters()
        if len(X.shape) != 4 or 0 in X.shape:
            vectors = ": vectors have VectorViews" if len(X.shape) == 2 else ""
            raise ValueError(f"pictures must have shape (n, C, H, W), got {tuple(X.shape)}{vectors}")
        self.pad_ = min(X.shape[2:]) // 8 if self.pad == "auto" else int(self.pad)
        mean, std, low, high = statistics(X)
        self._eight_bit_ = X.dtype in (torch.uint8, np.uint8)
        unit = 255.0 if self._eight_bit_ else 1.0
        self.low_, self.high_ = (0.0, 1.0) if self._eight_bit_ else (low, high)
        channels = X.shape[1]
        top = 1.0 if self._eight_bit_ else float("inf")
        self.mean_ = given_or_measured("mean", self.mean, channels, mean / unit, top)
        self.std_ = given_or_measured("std", self.std, channels, torch.where(std > 0, std / unit, 1.0), top)
        if not bool((self.std_ > 0).all()):
            raise ValueError(f"std must be > 0, got {self.std}")
        if not self._eight_bit_ and not (self.mean is None and self.std is None):
            warn_of_other_units((mean, std), (self.mean_, self.std_), (low, high))
        return self

    def plain(self, x: Tensor) -> Tensor:
        """Normalise pictures and change nothing else: (B, C, H, W) -> (B, C, H, W), float32."""
        return self._make(x, None, None)

    def weak(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Crop from the framed picture and mirror, drawn per picture, then normalise.

        Parameters
        ----------
        x : Tensor of shape (B, C, H, W), uint8 or float as in `fit`
            On any device; not changed.
        generator : torch.Generator, optional
            PyTorch's global one if not given.  One on the CPU gives the same views on every device.

        Returns
        -------
        Tensor of shape (B, C, H, W), float32, channels last
        """
        return self._make(x, self._draw_crops(len(x), host_generator(generator)), None)

    def strong(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Apply the weak view, then `n_ops` RandAugment operations drawn per picture; parameters and result as `weak`.

        RandAugment: Cubuk, Zoph, Shlens and Le, NeurIPS 2020.
        """
        generator = host_generator(generator)
        crops = self._draw_crops(len(x), generator)
        return self._make(x, crops, torch.stack(draw(len(x), self.n_ops, generator)))

    def _draw_crops(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw the row and the column of each cut and whether it is mirrored: (3, n) int64 on the CPU."""
        check_is_fitted(self, "mean_")
        corner = torch.randint(2 * self.pad_ + 1, (2, n), generator=generator)
        mirrored = torch.randint(2, (1, n), generator=generator) * bool(self.flip)
        return torch.cat([corner, mirrored])  # (3, n)

    def _make(self, x: Tensor, crops: Tensor | None, changes: Tensor | None) -> Tensor:
        """Carry out what was drawn, on the CPU block by block, which bounds the memory.

        Parameters
        ----------
        x : Tensor of shape (B, C, H, W)
        crops : Tensor of shape (3, B), optional
            From `_draw_crops`.
        changes : Tensor of shape (2, n_ops, B), optional
            Operations and signs of RandAugment.
        """
        self._check(x)
        out = torch.empty_like(x, dtype=torch.float32, memory_format=torch.channels_last)
        block = max(1, _BLOCK // x[0].numel()) if x.device.type == "cpu" and len(x) else max(1, len(x))
        for start in range(0, len(x), block):
            rows = slice(start, start + block)
            part = x[rows] if changes is None else self._to_8_bit(x[rows])
            if crops is not None:
                black = 0.0 if part.dtype == torch.uint8 else self.low_
                part = crop_flip(F.pad(part, (self.pad_,) * 4, value=black), self.pad_, *crops[:, rows])
            if changes is not None:
                part = rand_augment(part, changes[0, :, rows], changes[1, :, rows], self.magnitude)
            self._normalise(part, out[rows])
        return out

    def _to_8_bit(self, x: Tensor) -> Tensor:
        """Round float pictures to 0..255 between `low_` and `high_`; 8-bit ones pass."""
        if x.dtype == torch.uint8:
            return x
        span = self.high_ - self.low_
        return ((x.float() - self.low_) * (255 / span if span > 0 else 0.0)).round_().clamp_(0, 255).byte()

    def _normalise(self, x: Tensor, out: Tensor) -> None:
        """Write values in units of standard deviations from the mean: one multiplication, one addition."""
        scale = 1 / self.std_
        shift = -self.mean_ * scale
        if x.dtype == torch.uint8:  # the 8-bit value v stands for low + v * (high - low) / 255
            shift = shift + self.low_ * scale
            scale = scale * (self.high_ - self.low_) / 255
        constants = to_device(torch.stack([scale, shift]), x.device).view(2, 1, -1, 1, 1)
        out.copy_(x.to(torch.float32, copy=True).mul_(constants[0]).add_(constants[1]))

    def _check(self, x: Tensor) -> None:
        """Refuse pictures of another kind than `fit` saw."""
        check_is_fitted(self, "mean_")
        if x.ndim != 4 or x.shape[1] != len(self.mean_):
            raise ValueError(f"pictures must have shape (B, {len(self.mean_)}, H, W), got {tuple(x.shape)}")
        if (x.dtype == torch.uint8) != self._eight_bit_:
            kind = "uint8" if self._eight_bit_ else "float"
            raise ValueError(
                f"these views were fitted on {kind} pictures, got {x.dtype}: their scales differ, so give X as in fit"
            )

    def _check_parameters(self) -> None:
        """Refuse parameters of the wrong type (TypeError) or range (ValueError)."""
        if not isinstance(self.flip, (bool, np.bool_)):
            raise TypeError(f"flip must be True or False, got {self.flip!r}")
        for name, top in (("pad", None), ("n_ops", None), ("magnitude", MAX_MAGNITUDE)):
            value = getattr(self, name)
            if name == "pad" and isinstance(value, str):
                if value == "auto":
                    continue
                raise ValueError(f"pad must be 'auto' or an integer >= 0, got {value!r}")
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise TypeError(f"{name} must be an integer, got {value!r}")
            if int(value) < 0 or (top is not None and int(value) > top):
                raise ValueError(f"{name} must be >= 0{'' if top is None else f' and <= {top}'}, got {value}")


def crop_flip(framed: Tensor, pad: int, dy: Tensor, dx: Tensor, mirrored: Tensor) -> Tensor:
    """Cut one picture from each framed picture, at its own place, and mirror some.

    Parameters
    ----------
    framed : Tensor of shape (B, C, H + 2 pad, W + 2 pad)
    pad : int
    dy, dx : Tensor of shape (B,), int64, on the CPU
        Place of the cut in 0..2 pad, before mirroring.
    mirrored : Tensor of shape (B,), int64, on the CPU
        1 = mirror left to right.

    Returns
    -------
    Tensor of shape (B, C, H, W)
    """
    n, _, high, wide = framed.shape
    both = torch.cat([framed, framed.flip(-1)])
    cuts = both.unfold(2, high - 2 * pad, 1).unfold(3, wide - 2 * pad, 1)  # (2B, C, 2p+1, 2p+1, H, W), a view
    column = torch.where(mirrored == 1, 2 * pad - dx, dx)  # the same cut, seen in the mirror
    where = to_device(torch.stack([torch.arange(n) + n * mirrored, dy, column]), framed.device)
    return cuts[where[0], :, where[1], where[2]]
