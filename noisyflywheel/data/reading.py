"""Rows of a Dataset read into one tensor, in this process or in a worker, and the row named that cannot be read."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset, default_collate, get_worker_info

from noisyflywheel.data.global_draws import globals_kept, seed_globals
from noisyflywheel.data.transparency import on_white
from noisyflywheel.exceptions import RowReadError

FILE_LISTS = ("samples", "imgs", "paths", "files", "filenames")
"""Attributes of Datasets that list a file, or a tuple that begins with one, for each row."""

IDLE = -1

T = TypeVar("T")


class Unread(NamedTuple):
    """What a worker sends back instead of rows."""

    error: Exception
    """Can be pickled."""


class RowReader:
    """Reads rows of a map-style Dataset whose items are ``(x, ...)`` or ``x``.

    Parameters
    ----------
    dataset : Dataset
    isolated : bool
        Whether items are known to draw from global random generators. Each row then has its own seed, so that it is the
        same whenever and by whomever it is read. True from the first read on that moves a generator, which is repeated.
        The generators are as before after each read.
    busy : Tensor of shape (n_workers, 2), int64, in shared memory, optional
        Each worker notes its process and the row that it reads.
    """

    def __init__(self, dataset: Any, isolated: bool = False, busy: Tensor | None = None) -> None:
        self.dataset, self.isolated, self.busy = dataset, isolated, busy

    def read(self, rows: Sequence[int]) -> Tensor:
        """Rows (B, ...) as they come from the Dataset.

        Raises
        ------
        RowReadError
            Names the row, and its file where it is known.
        TypeError, ValueError
            For items that are no numbers, of different shapes, or hold NaN or infinity.
        """
        try:
            with globals_kept() as drawn:
                found = self._read(rows)
        except Exception:
            if self.isolated or not drawn:
                raise
        if self.isolated or not drawn:
            return found
        self.isolated = True
        return self.read(rows)

    def _read(self, rows: Sequence[int]) -> Tensor:
        if hasattr(self.dataset, "read_rows"):
            return self._whole(rows)
        items = self._batch(rows) if callable(getattr(self.dataset, "__getitems__", None)) else None
        parts = [self._one(i) for i in rows] if items is None else list(map(as_row, items, rows))
        check_items(parts, rows)
        return stacked(parts)

    def __getitems__(self, rows: Sequence[int]) -> Tensor | Unread:
        """What torch's DataLoader calls in a worker: `read`, with errors as values."""
        found: Tensor | Unread
        try:
            found = self.read(rows)
        except Exception as error:
            found = Unread(plain_error(error))
        self._note(IDLE)  # not where the process ends
        return found

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.dataset)

    def _whole(self, rows: Sequence[int]) -> Tensor:
        """Rows of a Dataset that reads many at once into a tensor."""
        self._note(rows[0])
        try:
            return self.dataset.read_rows(rows)
        except (TypeError, ValueError, MemoryError):
            raise
        except Exception as error:
            raise unreadable(self.dataset, rows[0], error) from error

    def _batch(self, rows: Sequence[int]) -> list[Any] | None:
        """Items by the Dataset's own ``__getitems__``; None where it fails, for then one by one tells which row."""
        self._note(rows[0])
        if self.isolated:
            return None
        try:
            return list(self.dataset.__getitems__(list(rows)))
        except Exception:
            return None

    def _one(self, row: int) -> Tensor:
        self._note(row)
        if self.isolated:
            seed_globals(row)
        return as_row(_item(self.dataset, row), row)

    def _note(self, row: int) -> None:
        info = get_worker_info()
        if info is not None and self.busy is not None:
            self.busy.numpy()[info.id] = os.getpid(), row


class SomeRows(Subset):
    """Some rows of a Dataset, also repeated ones; a source reads them under the numbers that they have there."""


def map_items(function: Callable[[Any], T], dataset: Any, rows: Iterable[int]) -> list[T]:
    """``function`` of these items of a Dataset, each read as by a `RowReader` that is ``isolated``."""
    with globals_kept():
        return [function(_seeded_item(dataset, row)) for row in rows]


def _seeded_item(dataset: Any, row: int) -> Any:
    seed_globals(row)
    return _item(dataset, row)


def _item(dataset: Any, row: int) -> Any:
    """An item as it comes; what fails is a `RowReadError`."""
    try:
        return dataset[row]
    except MemoryError:
        raise
    except Exception as error:
        raise unreadable(dataset, row, error) from error


def as_row(item: Any, row: int | None = None) -> Tensor:
    """One item of a Dataset as a tensor: its first part where it is a tuple or list; ``row`` is for messages."""
    x = item[0] if isinstance(item, (tuple, list)) else item
    where = "" if row is None else f" (item {row})"
    if isinstance(x, Tensor):
        if x.layout != torch.strided:
            raise TypeError(f"an item of the Dataset is a sparse tensor{where}: return x.to_dense().")
        if x.is_complex():
            raise TypeError(f"an item of the Dataset holds complex numbers{where}.")
        return x.detach() if x.requires_grad else x
    array = np.array(in_colours(x))
    if array.dtype.kind not in "biuf":
        kind = type(x).__name__
        raise TypeError(
            f"an item of the Dataset is no array or tensor of numbers but {kind}{where}: return (x, label)."
        )
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))  # of this machine


def stacked(items: list[Tensor]) -> Tensor:
    """Items as one tensor (B, ...) of the type that holds all of theirs; that of a worker is in shared memory."""
    dtype = functools.reduce(torch.promote_types, (item.dtype for item in items))
    return default_collate([item.to(dtype) for item in items])


def in_colours(x: Any) -> Any:
    """A picture of Pillow's with a palette as RGB: its numbers are places in the palette; all else as it is."""
    return on_white(x) if getattr(x, "mode", None) in ("P", "PA") else x


def check_items(items: list[Tensor], indices: Sequence[int]) -> None:
    """Raise ValueError if items of a Dataset are not alike (`check_alike`) or not finite in float32; names it."""
    check_alike(items, indices)
    for item, i in zip(items, indices, strict=True):
        if item.is_floating_point() and not bool(torch.isfinite(item.float()).all()):
            is_finite = bool(torch.isfinite(item).all())
            what = "a number too large for float32" if is_finite else "NaN or infinity"
            raise ValueError(f"item {i} of the Dataset holds {what}.")


def check_alike(items: list[Tensor], indices: Sequence[int], whole: str = "the Dataset") -> None:
    """Raise ValueError if items of ``whole`` differ in shape, or only some are of 8 bits; names the item."""
    first = items[0]
    for item, i in zip(items, indices, strict=True):
        check_shape(tuple(item.shape), i, tuple(first.shape), indices[0], whole)
        if item.ndim > 1 and (item.dtype == torch.uint8) != (first.dtype == torch.uint8):
            kinds = f"item {i} of {whole} has {item.dtype} pixels, item {indices[0]} has {first.dtype}"
            raise ValueError(f"{kinds}: their scales differ.")


def check_shape(
    shape: tuple[int, ...], row: int, first: tuple[int, ...], first_row: int, whole: str = "the Dataset"
) -> None:
    """Raise ValueError if item ``row`` of ``whole`` has another shape than item ``first_row``."""
    if shape != first:
        advice = ": bring pictures to one size and mode first." if len(shape) > 1 else "."
        raise ValueError(f"item {row} of {whole} has shape {shape}, item {first_row} has {first}{advice}")


def unreadable(dataset: Any, row: int, error: BaseException) -> RowReadError:
    """The error of a row that its Dataset cannot read."""
    text = " ".join(str(error).split())
    return RowReadError(row, file_of(dataset, row), f"{type(error).__name__}" + f": {text}" * bool(text))


def plain_error(error: Exception) -> Exception:
    """An error that can be sent to another process: ours as it is, with the traceback of its cause as a note."""
    sent = type(error)(*error.args) if type(error) in (RowReadError, TypeError, ValueError) else unknown(error)
    cause = error.__cause__ or error
    sent.add_note("In a worker:\n" + "".join(traceback.format_exception(cause)).rstrip())
    return sent


def unknown(error: Exception) -> RuntimeError:
    """An error of any other type by name and text."""
    return RuntimeError(f"{type(error).__name__}: {error}")


def file_of(dataset: Any, row: int) -> str | None:
    """The file of a row, where the Dataset lists files; through `torch.utils.data.Subset` and skorch's SliceDataset."""
    while hasattr(dataset, "dataset"):
        row = int(dataset.indices[row]) if isinstance(dataset, Subset) else row
        dataset = dataset.dataset
    for name in FILE_LISTS:
        listed = getattr(dataset, name, None)
        if isinstance(listed, (list, tuple)) and 0 <= row < len(listed):
            entry = listed[row][0] if isinstance(listed[row], (tuple, list)) else listed[row]
            if isinstance(entry, (str, os.PathLike)):
                return str(entry)
    return None
