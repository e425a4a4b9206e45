"""Where the rows come from: one source for arrays, tensors and Datasets."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from noisyflywheel.data.devices import float64_device

CHANNELS = (1, 3, 4)


class Source(Protocol):
    """Rows by index."""

    device: torch.device

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def take(self, rows: Tensor) -> Tensor:
        """Rows of shape (B, ...) on ``device``."""
        ...


class ArraySource:
    """Rows of one tensor, on the device where they fit and in host memory otherwise.

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        Never copied on the CPU.
    device : torch.device
        Where batches are wanted.
    """

    def __init__(self, x: Tensor, device: torch.device) -> None:
        self.device = device
        self.x = x.to(device) if _fits(x, device) else x

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.x)

    def take(self, rows: Tensor) -> Tensor:
        """Rows of shape (B, ...) on the device."""
        return self.x[rows.to(self.x.device)].to(self.device, non_blocking=True)


class DatasetSource:
    """Rows of a map-style torch Dataset whose items are ``(x, ...)`` or ``x``; nothing is kept in memory."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.dataset = dataset
        self.device = device

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.dataset)  # type: ignore[arg-type]

    def take(self, rows: Tensor) -> Tensor:
        """Rows of shape (B, ...) on the device; images channels first."""
        indices = rows.tolist()  # sync: where rows are on a device
        items = [as_row(self.dataset[i]) for i in indices]
        _check_items(items, indices)
        batch = channels_first(default_collate(items))
        if float64_device(self.device) != self.device and batch.dtype == torch.float64:
            batch = batch.float()
        return batch.to(self.device, non_blocking=True)


def _fits(x: Tensor, device: torch.device) -> bool:
    """Whether ``x`` takes at most half of the free memory of a CUDA device."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return x.numel() * x.element_size() <= free // 2


def as_row(item: Any) -> Tensor:
    """One item of a Dataset as a tensor: its first part where it is a tuple or list."""
    x = item[0] if isinstance(item, (tuple, list)) else item
    if isinstance(x, Tensor):
        return x
    array = np.array(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"an item of the Dataset is no array or tensor of numbers but {type(x).__name__}")
    return torch.from_numpy(array)


def _check_items(items: list[Tensor], indices: list[int]) -> None:
    """Raise ValueError if items of a Dataset differ in shape or hold NaN or infinity; names the item."""
    for item, i in zip(items, indices, strict=True):
        if item.shape != items[0].shape:
            raise ValueError(
                f"item {i} of the Dataset has shape {tuple(item.shape)}, item {indices[0]} has {tuple(items[0].shape)}."
            )
        if item.is_floating_point() and not bool(torch.isfinite(item).all()):
            raise ValueError(f"item {i} of the Dataset holds NaN or infinity.")


def to_tensor(x: np.ndarray) -> Tensor:
    """An array as a tensor without a copy; float64 becomes float32, read-only memory is fine."""
    if x.dtype not in (np.float32, np.uint8):
        x = x.astype(np.float32)
    if any(stride < 0 for stride in x.strides):
        x = np.ascontiguousarray(x)
    with warnings.catch_warnings():  # nothing here writes to rows
        warnings.filterwarnings("ignore", message=".*not writable.*", category=UserWarning)
        return torch.from_numpy(x)


def channels_first(x: Tensor) -> Tensor:
    """Images (n, H, W), (n, H, W, C) or (n, C, H, W) as a (n, C, H, W) view; other shapes as they are.

    Raises
    ------
    ValueError
        If neither the last axis nor axis 1 of a 4-D batch is 1, 3 or 4 long.
    """
    if x.ndim == 3:
        return x[:, None]
    if x.ndim != 4:
        return x
    if x.shape[3] in CHANNELS:
        return x.permute(0, 3, 1, 2)
    if x.shape[1] in CHANNELS:
        return x
    raise ValueError(
        f"X of shape {tuple(x.shape)} is not a batch of images: neither the last axis nor axis 1 "
        f"has 1, 3 or 4 channels."
    )
