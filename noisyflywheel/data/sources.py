"""Where the rows come from: one source for arrays, tensors and Datasets."""

from __future__ import annotations

import contextlib
import itertools
import time
import warnings
from collections.abc import Generator, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data.devices import moved
from noisyflywheel.data.reading import RowReader, SomeRows, check_shape
from noisyflywheel.data.workers import (
    PAYS_IN_ALL,
    PAYS_PER_ROW,
    PROBE_SECONDS,
    Workers,
    may_have_workers,
    n_workers_here,
    pieces_of,
)

CHANNELS = (1, 3, 4)


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
        if self.is_resident:
            return self.x[moved(rows, self.x.device)]
        pinned = self.device.type == "cuda"
        taken = torch.empty(len(rows), *self.x.shape[1:], dtype=self.x.dtype, pin_memory=pinned)
        torch.index_select(self.x, 0, rows.cpu(), out=taken)
        return moved(taken, self.device)

    def stream(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """`take` of each part; rows in host memory are asked for by indices that come to the host all at once."""
        if self.is_resident:
            return map(self.take, parts)
        parts = list(parts)
        if not parts:
            return iter(())
        rows = torch.cat(parts).cpu()  # sync: once a pass over rows that do not fit on the device
        return map(self.take, rows.split([len(part) for part in parts]))

    @property
    def is_resident(self) -> bool:
        """Whether the rows are where batches are wanted."""
        return self.x.device.type == self.device.type

    def of_dead_worker(self, error: Exception) -> None:
        """There are no workers."""

    def close(self) -> None:
        """Nothing reads ahead."""


class DatasetSource:
    """Rows of a map-style torch Dataset whose items are ``(x, ...)`` or ``x``; nothing is kept in memory.

    Workers read where that pays: from the time on when reading has taken `workers.PAYS_IN_ALL` seconds, or is about to,
    if a row takes `workers.PAYS_PER_ROW`.

    Parameters
    ----------
    dataset : Dataset
    device : torch.device
        Where batches are wanted.
    options : dict, optional
        Parameters of torch's DataLoader among `workers.OPTIONS`; ``num_workers`` decides if it is there.
    """

    def __init__(self, dataset: Dataset, device: torch.device, options: dict[str, Any] | None = None) -> None:
        some = dataset if isinstance(dataset, SomeRows) else None
        self.dataset = dataset if some is None else some.dataset
        self.numbers = None if some is None else torch.as_tensor(some.indices)  # of the rows in ``self.dataset``
        self.device, self.options = device, options or {}
        self.reader = RowReader(self.dataset)
        self.workers: Workers | None = None
        self.first: tuple[int, tuple[int, ...]] | None = None  # the first row read and its shape
        self.row_bytes, self.rows_read, self.seconds = 1, 0, 0.0
        self.reads_to_host = True

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.dataset if self.numbers is None else self.numbers)  # type: ignore[arg-type]

    def take(self, rows: Tensor) -> Tensor:
        """Rows of shape (B, ...) on the device; images channels first."""
        return self._moved(self._read(self._numbered(rows).tolist()))  # sync: where rows are on a device

    def stream(self, parts: Iterable[Tensor]) -> Iterator[Tensor]:
        """`take` of each part, in order, read ahead by workers where they pay."""
        parts = [self._numbered(part.cpu()) for part in parts]  # sync: where rows are on a device
        if parts and self.first is None:
            self._read(parts[0][:1].tolist())
        cut = [pieces_of(part, self.row_bytes) for part in parts]
        pieces = self._pieces([piece for part in cut for piece in part])
        with contextlib.closing(pieces):
            for part in cut:
                taken = [self._moved(piece) for piece in itertools.islice(pieces, len(part))]
                yield taken[0] if len(taken) == 1 else torch.cat(taken)

    def of_dead_worker(self, error: Exception) -> Exception | None:
        """Where ``error`` tells of a worker that died, one that names the row which it was reading; else None."""
        return None if self.workers is None else self.workers.of_dead_worker(error)

    def close(self) -> None:
        """End the workers; they start again when they are needed."""
        if self.workers is not None:
            self.workers.close()
        self.workers = None

    def _numbered(self, rows: Tensor) -> Tensor:
        """Positions (B,) as numbers of rows in the Dataset: seeds and messages go by these."""
        return rows if self.numbers is None else self.numbers[rows.cpu()]

    def _pieces(self, pieces: list[Tensor]) -> Generator[Tensor, None, None]:
        """Rows of each piece of indices, on the CPU: in this process until workers pay."""
        left = sum(map(len, pieces))
        for i, piece in enumerate(pieces):
            if self._workers_pay(left):
                yield from self._from_workers(pieces[i:])
                return
            yield self._read(piece.tolist())
            left -= len(piece)

    def _workers_pay(self, rows_left: int) -> bool:
        if self.workers is not None:
            return not self.workers.in_use
        if "num_workers" in self.options:
            return self.options["num_workers"] > 0 and may_have_workers()
        if self.seconds < PROBE_SECONDS or not self.reads_to_host:  # CUDA cannot be used in a forked process
            return False
        row_seconds = self.seconds / self.rows_read
        pays = row_seconds >= PAYS_PER_ROW and self.seconds + rows_left * row_seconds >= PAYS_IN_ALL
        return pays and getattr(self.dataset, "takes_workers", True) and n_workers_here(self.row_bytes) > 0

    def _from_workers(self, pieces: list[Tensor]) -> Iterator[Tensor]:
        if self.workers is None:
            options = {"num_workers": n_workers_here(self.row_bytes)} | self.options
            self.workers = Workers(self.reader, options, self.device)
        try:
            for piece, rows in zip(pieces, self.workers.read(pieces), strict=True):
                self._check_shape(rows, int(piece[0]))
                yield rows
        except Exception as error:
            named = self.of_dead_worker(error)
            self.close()
            if named is None:
                raise
            raise named from error

    def _read(self, rows: list[int]) -> Tensor:
        """Rows (B, ...) on the CPU, read in this process, and how long that took."""
        start = time.perf_counter()
        batch = self.reader.read(rows)
        self.seconds += time.perf_counter() - start
        self.rows_read += len(rows)
        self.row_bytes, self.reads_to_host = batch[0].nbytes, batch.is_cpu
        self._check_shape(batch, rows[0])
        return batch

    def _check_shape(self, batch: Tensor, row: int) -> None:
        shape = tuple(batch.shape[1:])
        self.first = self.first or (row, shape)
        check_shape(shape, row, self.first[1], self.first[0])

    def _moved(self, batch: Tensor) -> Tensor:
        return moved(channels_first(of_kept_type(batch)), self.device)


def _fits(x: Tensor, device: torch.device) -> bool:
    """Whether ``x`` takes at most half of the free memory of a CUDA device."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return x.numel() * x.element_size() <= free // 2


def to_tensor(x: np.ndarray) -> Tensor:
    """An array as a tensor without a copy; float64 becomes float32, read-only memory is fine."""
    if x.dtype not in (np.float32, np.uint8):
        x = x.astype(np.float32)
    if any(stride < 0 or stride % x.itemsize for stride in x.strides):
        x = x.copy()  # `ascontiguousarray` leaves the stride of an axis of one row
    with warnings.catch_warnings():  # nothing here writes to rows
        warnings.filterwarnings("ignore", message=".*not writable.*", category=UserWarning)
        return torch.from_numpy(x)


def of_kept_type(batch: Tensor) -> Tensor:
    """Rows (B, ...) of the type that those in memory have: pictures of uint8 as they are, all else float32."""
    return batch if batch.dtype == torch.uint8 and batch.ndim > 2 else batch.float()


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
    axis = channel_axis(tuple(x.shape))
    if axis is None:
        raise ValueError(
            f"X of shape {tuple(x.shape)} is not a batch of images: neither the last axis nor axis 1 "
            f"has 1, 3 or 4 channels. Turn pictures of others into grey, RGB or RGBA."
        )
    return x.movedim(axis, 1)


def channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis, 3 or 1, that has the channels of images of this shape, of length 4; None where neither can.

    Where both can, as with tiny pictures, it is the one that leaves height and width more alike, or the last one.
    """

    def elongation(axis: int) -> float:
        height, width = (max(1, length) for i, length in enumerate(shape) if i not in (0, axis))
        return max(height, width) / min(height, width)

    return min((axis for axis in (3, 1) if shape[axis] in CHANNELS), key=elongation, default=None)
