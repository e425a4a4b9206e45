"""Columns that float32 cannot hold, such as timestamps: centred and scaled in float64 before they are rounded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data.devices import float64_device
from noisyflywheel.data.reading import as_row

LOST = 1e-4
"""Share of a column's standard deviation that rounding to float32 may take before the column is centred."""

CONSTANT = 1e-11
"""Columns that vary by less than this share of their size are constant but for errors of arithmetic."""

NUMBERS = 2**20
"""Numbers that are looked at together: 8 MB in float64."""

Centring = tuple[NDArray[np.float64], NDArray[np.float64]]


def learn_centring(x: NDArray[Any]) -> Centring | None:
    """Offset and scale of columns that lose digits in float32; None where no column does.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Finite numbers. Nothing is done for types that float32 holds exactly, itself among them.

    Returns
    -------
    offset, scale : ndarray of shape (d,), float64
        Mean and standard deviation of the columns where rounding moves a value by more than `LOST` standard
        deviations; 0 and 1 elsewhere, which leaves the others as they are to the last bit.
    """
    if np.can_cast(x.dtype, np.float32, "safe"):
        return None
    lost, mean, std = _rounding(x)
    vary = std > CONSTANT * np.abs(mean)
    centred = np.isfinite(lost) & np.isfinite(std) & vary & (lost > LOST * std)
    if not centred.any():
        return None
    return np.where(centred, mean, 0.0), np.where(centred, std, 1.0)


def to_float32(x: NDArray[Any], centring: Centring | None = None) -> NDArray[np.float32]:
    """``(x - offset) / scale`` in float64, rounded to float32; without ``centring`` only rounded.

    float32 without centring is returned as it is. Values beyond float32 become infinite.
    """
    with np.errstate(over="ignore"):
        if centring is None:
            return x.astype(np.float32, copy=False)
        offset, scale = centring
        out = np.empty_like(x, dtype=np.float32)
        for rows in row_blocks(x):
            out[rows] = (x[rows].astype(np.float64) - offset) / scale
    return out


class CentredItems(Dataset):
    """Items of a Dataset, vectors, as ``(x - offset) / scale`` in float64; whoever reads them rounds to float32.

    Parameters
    ----------
    dataset : Dataset
        Map-style, of items ``(x, ...)`` or ``x``.
    centring : tuple of two ndarray of shape (d,)
        Of `learn_centring`.
    """

    def __init__(self, dataset: Any, centring: Centring) -> None:
        self.dataset = dataset
        self.offset, self.scale = map(torch.from_numpy, centring)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.dataset)

    def __getitem__(self, row: int) -> Tensor:
        """One row."""
        return self._centred(self.dataset[row], row)

    def __getitems__(self, rows: Sequence[int]) -> list[Tensor]:
        """Several rows, by the Dataset's own ``__getitems__`` where it has one."""
        many = getattr(self.dataset, "__getitems__", None)
        items = many(rows) if callable(many) else [self.dataset[row] for row in rows]
        return [self._centred(item, row) for item, row in zip(items, rows, strict=True)]

    def _centred(self, item: Any, row: int) -> Tensor:
        x = as_row(item, row)
        if x.shape != self.offset.shape:
            return x  # is refused with its shape
        x = x.to(float64_device(x.device), torch.float64)
        return (x - self.offset.to(x.device)) / self.scale.to(x.device)


def _rounding(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each column the largest error of rounding to float32, mean and standard deviation: (d,) each.

    Sums are of differences from the first row, so that a large mean does not swallow the variance.
    """
    first = x[0].astype(np.float64)
    lost, total, square = np.zeros_like(first), np.zeros_like(first), np.zeros_like(first)
    with np.errstate(over="ignore", invalid="ignore"):
        for rows in row_blocks(x):
            block = x[rows].astype(np.float64)  # (b, d)
            np.maximum(lost, np.abs(block - block.astype(np.float32)).max(0), out=lost)
            block -= first
            total += block.sum(0)
            square += np.square(block, out=block).sum(0)
        shift = total / len(x)
        return lost, first + shift, np.sqrt(np.maximum(square / len(x) - shift**2, 0.0))


def row_blocks(x: NDArray[Any]) -> Iterator[slice]:
    """Slices of rows of about `NUMBERS` numbers."""
    size = max(1, NUMBERS // max(1, x.shape[1]))
    return (slice(start, start + size) for start in range(0, len(x), size))
