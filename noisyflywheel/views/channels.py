"""Means and deviations of the channels of pictures: those of the data, and those that a user gives instead."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

CHUNK = 1024
"""Pictures that are read at once."""

NOISE = 1e-6
"""Share of its mean up to which a channel varies by errors of float32 only."""

FAR_OFF, TOO_WIDE = 200.0, 100.0
"""Given means that are so many deviations off, or deviations so many times too large, are taken for those of other
units: [0, 255] is 255 times as wide as [0, 1]."""


def statistics(X: Any) -> tuple[Tensor, Tensor, float, float]:
    """Return channel means and deviations (C,) float64, minimum, maximum; ValueError if not finite."""
    total = square = torch.zeros(X.shape[1], dtype=torch.float64)
    low, high = float("inf"), float("-inf")
    for x in chunks(X):
        total = total + x.sum(dim=(0, 2, 3), dtype=torch.float64).cpu()
        square = square + x.square().sum(dim=(0, 2, 3), dtype=torch.float64).cpu()
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    if not bool(torch.isfinite(square).all()):
        raise ValueError("pictures hold NaN, infinity or values too large to square")
    count = len(X) * X.shape[2] * X.shape[3]
    mean = total / count
    variance = (square / count - mean**2).clamp(min=0)
    if bool((flat := variance <= 1e-6 * mean**2).any()):  # there squares in float32 are off by a hundredth and more
        shift = mean.view(1, -1, 1, 1)
        exact = sum((x.cpu() - shift).square().sum(dim=(0, 2, 3)) for x in chunks(X)) / count
        variance = torch.where(flat, exact, variance)
    return mean, torch.where(variance.sqrt() > NOISE * mean.abs(), variance, 0.0).sqrt(), low, high


def chunks(X: Any) -> Iterator[Tensor]:
    """Pictures (b, C, H, W) part by part, as float32."""
    for start in range(0, len(X), CHUNK):
        chunk = X[start : start + CHUNK]
        yield (chunk if isinstance(chunk, Tensor) else torch.from_numpy(np.array(chunk))).float()


def given_or_measured(name: str, value: Sequence[float] | None, channels: int, measured: Tensor, top: float) -> Tensor:
    """Return the user's constants (C,) where given, finite and at most `top`, else the measured ones; float32."""
    if value is None:
        return measured.float()
    try:
        constants = torch.as_tensor(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers, got {value}") from error
    if constants.shape != (channels,):
        raise ValueError(f"{name} must have one value for each of {channels} channels, got {value}")
    if not bool(constants.isfinite().all()):
        raise ValueError(f"{name} must be finite, got {value}")
    if bool((constants > top).any()):
        raise ValueError(f"{name} of 8-bit pictures is in [0, 1], got {value}: divide it by 255")
    return constants.float()


def warn_of_other_units(
    measured: tuple[Tensor, Tensor], given: tuple[Tensor, Tensor], values: tuple[float, float]
) -> None:
    """Warn where given means and deviations (C,) have nothing to do with those that are measured, nor with `values`."""
    (mean, std), (given_mean, given_std) = measured, (one.double() for one in given)
    off = ((mean - given_mean).abs() > FAR_OFF * given_std) | ((std > 0) & (given_std > TOO_WIDE * std))
    if bool(off.any()):
        warnings.warn(
            f"mean and std seem to be in other units than the pictures, whose values are from {values[0]:.3g} to "
            f"{values[1]:.3g}: give them in those units, as for pictures in [0, 1] torchvision states them.",
            UserWarning,
            stacklevel=3,
        )
