"""Arrays that lie on disk, as rows that are read when they are asked for: `numpy.memmap`, h5py and zarr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data.centring import Centring, to_float32

BLOCK_NUMBERS = 2**22
"""Numbers of a block where all rows are looked at once."""

COPIED_BYTES = 2**28
"""A `numpy.memmap` whose rows would take no more memory than so as float32 is read as a whole."""


class LazyRows(Dataset):
    """Rows of an array on disk; each batch is read, turned into float32 and checked on its own.

    Parameters
    ----------
    array : OnDisk or anything like it
        With ``shape``, ``dtype``, ``array[slice]`` and ``take(rows)``.
    centring : tuple of two ndarray of shape (d,), optional
        Of `learn_centring`.
    """

    takes_workers = False  # handles of files and their locks do not survive a fork

    def __init__(self, array: Any, centring: Centring | None = None) -> None:
        self.array, self.centring = array, centring

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.array.shape[0])

    def __getitem__(self, row: int) -> Tensor:
        """One row."""
        return self.read_rows([row])[0]

    def read_rows(self, rows: Sequence[int]) -> Tensor:
        """Rows (B, ...): uint8 pictures as they are, all else float32.

        Raises
        ------
        ValueError
            If one holds NaN or infinity, or numbers that float32 cannot.
        """
        block = as_stored_type(self.array.take(np.asarray(rows)), self.centring)
        if block.dtype != np.uint8 and not np.isfinite(block).all():
            bad = ~np.isfinite(block.reshape(len(block), -1)).all(1)
            raise ValueError(
                f"row {rows[int(bad.argmax())]} of X holds NaN, infinity or a value too large for float32."
            )
        return torch.from_numpy(block)

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All rows as they are on disk, block by block."""
        size = max(1, BLOCK_NUMBERS // max(1, int(np.prod(self.array.shape[1:]))))
        return (self.array[start : start + size] for start in range(0, len(self), size))

    def check_finite(self) -> None:
        """Raise scikit-learn's ValueError if any row holds NaN or infinity, also after rounding to float32."""
        for block in self.blocks():
            assert_all_finite(block, input_name="X")
            if block.dtype.itemsize > 4:
                assert_all_finite(as_stored_type(block, self.centring), input_name="X")


class OnDisk:
    """A memory map, or an array of h5py or zarr, read by rows in any order, also repeated ones.

    Parameters
    ----------
    array : numpy.memmap, h5py.Dataset or zarr.Array
    """

    names: list[str] | None = None
    """Of the columns, where they have names."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __getitem__(self, rows: int | slice) -> NDArray[Any]:
        """One row, or consecutive ones."""
        return np.asarray(self.array[rows])

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Rows (B, ...): h5py takes rising indices only, and zarr reads each chunk once if they are."""
        if isinstance(self.array, np.ndarray):
            return np.asarray(self.array[rows])
        rising, inverse = np.unique(rows, return_inverse=True)
        read = getattr(self.array, "oindex", self.array)
        return np.asarray(read[rising])[inverse]


def as_stored_type(x: NDArray[Any], centring: Centring | None) -> NDArray[Any]:
    """Rows (B, ...) as float32, pictures of uint8 as they are; vectors centred where asked for."""
    if x.dtype == np.uint8 and x.ndim > 2:
        return x
    return to_float32(x, centring)


def is_large_map(X: Any) -> bool:
    """Whether X is a `numpy.memmap` of rows that is not to be read as a whole."""
    return isinstance(X, np.memmap) and X.ndim > 1 and X.size * 4 > COPIED_BYTES


def lazy_rows(X: Any) -> LazyRows | None:
    """X as rows that are read when they are asked for; None where it is in memory, or small.

    A `numpy.memmap` of float32, or of pictures of uint8, is None too: a tensor shares its pages.
    """
    package = type(X).__module__.partition(".")[0]
    if package in ("h5py", "zarr") and hasattr(X, "dtype") and len(getattr(X, "shape", ())) > 1:
        return LazyRows(OnDisk(X))
    if not is_large_map(X):
        return None
    shares = X.dtype == np.float32 or (X.dtype == np.uint8 and X.ndim > 2)
    return None if shares else LazyRows(OnDisk(X))
