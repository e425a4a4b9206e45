"""What every loader returns, and how pictures are read: whole, checked, bad ones named."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data.pictures import PLAIN_MODES, ImageReadError, Picture, PictureFile, read_picture

Problem = tuple[str, str]

_LISTED = 20  # problems written out in a message
_THREADS = min(8, os.cpu_count() or 1)


class BadImagesError(ValueError):
    """Pictures that cannot be used; ``problems`` holds (path, reason) of every one."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)  # one string is enough, so that worker processes can pass it on
        self.problems = list(problems)


class BadImagesWarning(UserWarning):
    """Pictures that were left out because ``on_error="skip"`` was asked for, or class folders that hold none."""


@dataclass(frozen=True, eq=False)
class NoisyData:
    """A data set with labels that may be wrong.

    Attributes
    ----------
    X : ndarray of shape (n, H, W, 3), uint8, or ImageFiles
        The pictures, or a Dataset that reads them when they are asked for.
    y : ndarray of shape (n,), int64
        Given labels, numbers of classes.
    y_clean : ndarray of shape (n,), int64, or None
        True labels where they are known.
    class_names : tuple of K str
    """

    X: Picture | ImageFiles
    y: NDArray[np.int64]
    y_clean: NDArray[np.int64] | None
    class_names: tuple[str, ...]


class ImageFiles(Dataset[tuple[Tensor, int]]):
    """Pictures on disk, read one by one: items are (uint8 Tensor of shape (3, size, size), label).

    Parameters
    ----------
    paths : sequence of n paths
    y : ndarray of shape (n,), int
        Labels.
    size : int
        Pixels a side: the shorter side is resized to it, the longer cut about the centre.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], y: NDArray[np.int64], size: int) -> None:
        self.paths = [os.fspath(path) for path in paths]
        self.y = y
        self.size = size

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Read one picture; BadImagesError, which names the file, where that fails."""
        path = self.paths[index]
        try:
            picture = read_image(path, self.size)
        except ImageReadError as error:
            problems = [(path, error.reason)]
            raise BadImagesError(_listing(problems), problems) from error
        return torch.from_numpy(picture).permute(2, 0, 1), int(self.y[index])


def read_image(source: PictureFile, size: int | None = None) -> Picture:
    """Read one 8-bit grey, palette or RGB picture as it is stored, as (H, W, 3).

    Parameters
    ----------
    source : path or binary file
    size : int, optional
        Resize the shorter side to it and cut the longer about the centre; as stored if not given.

    Raises
    ------
    ImageReadError
        As `noisyflywheel.data.pictures.read_picture`.
    """
    picture = read_picture(source, modes=PLAIN_MODES)
    return np.array(picture if size is None else _fit_square(picture, size))


def read_images(
    sources: Iterable[tuple[str, Any]], n: int, on_error: str, size: int | None = None
) -> tuple[Picture, NDArray[np.int64]]:
    """Read all pictures into one array.

    Parameters
    ----------
    sources : iterable of n pairs (name for messages, path or binary file)
    n : int
    on_error : {"raise", "skip"}
        Refuse the data with the list of all bad pictures, or leave them out with a warning that lists them.
    size : int, optional
        As `read_image`; if not given all pictures must have the size of the first that can be read.

    Returns
    -------
    X : ndarray of shape (m, H, W, 3), uint8
    kept : ndarray of shape (m,), int64
        Numbers of the pictures in X.
    """
    check_on_error(on_error)
    X: Picture | None = None
    kept: list[int] = []
    problems: list[Problem] = []
    for i, (name, source) in enumerate(sources):
        try:
            picture = read_image(source, size)
            if X is None:
                X = np.empty((n, *picture.shape), np.uint8)
            _check_size(name, picture, X.shape[1:3])
        except ImageReadError as error:
            problems.append((name, error.reason))
            continue
        X[len(kept)] = picture
        kept.append(i)
    report(problems, on_error, left=len(kept))
    assert X is not None
    return X[: len(kept)], np.array(kept, dtype=np.int64)


def check_files(paths: Sequence[str | os.PathLike[str]], on_error: str) -> NDArray[np.int64]:
    """Decode every file once, in threads; return the numbers (m,) of the good ones."""
    check_on_error(on_error)
    with ThreadPoolExecutor(_THREADS) as pool:
        reasons = list(pool.map(_reason, paths, chunksize=64))
    report([(os.fspath(p), r) for p, r in zip(paths, reasons, strict=True) if r], on_error, reasons.count(""))
    return np.array([i for i, reason in enumerate(reasons) if not reason], dtype=np.int64)


def load_files(
    paths: Sequence[Path], y: NDArray[np.int64], size: int | None, lazy: bool, verify: bool, on_error: str
) -> tuple[Picture | ImageFiles, NDArray[np.int64]]:
    """Read the pictures now, or make an `ImageFiles` of them; returns them with the labels of those kept."""
    if size is not None and (isinstance(size, bool) or not isinstance(size, Integral) or size < 1):
        raise ValueError(f"size must be an int of at least 1, got {size!r}")
    if not lazy:
        X, kept = read_images(((str(p), p) for p in paths), len(paths), on_error, size)
        return X, y[kept]
    if size is None:
        raise ValueError("lazy=True needs a size, so that the pictures of a batch are equal")
    check_on_error(on_error)
    kept = check_files(paths, on_error) if verify else np.arange(len(paths))
    return ImageFiles([paths[i] for i in kept], y[kept], size), y[kept]


def report(problems: Sequence[Problem], on_error: str, left: int) -> None:
    """Raise or warn about bad pictures; BadImagesError in any case where none is `left`."""
    if problems and (on_error == "raise" or left == 0):
        raise BadImagesError(_listing(problems), problems)
    if problems:
        warnings.warn(f"left out {_listing(problems)}", BadImagesWarning, stacklevel=5)
    if left == 0:
        raise ValueError("there are no pictures")


def check_on_error(on_error: str) -> None:
    """Refuse anything but "raise" and "skip"."""
    if on_error not in ("raise", "skip"):
        raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")


def _reason(path: str | os.PathLike[str]) -> str:
    """Tell why a file cannot be used, or "" where it can."""
    try:
        read_image(path)
    except ImageReadError as error:
        return error.reason
    return ""


def _check_size(name: str, picture: Picture, shape: tuple[int, ...]) -> None:
    """Refuse a picture of another height or width than the others."""
    if picture.shape[:2] != shape:
        (h, w), (height, width) = picture.shape[:2], shape
        raise ImageReadError(name, f"is {w}x{h} pixels, the others are {width}x{height}; see `size`")


def _fit_square(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to `size` pixels and cut the longer about the centre."""
    scale = size / min(image.size)
    width, height = (max(size, round(side * scale)) for side in image.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _listing(problems: Sequence[Problem]) -> str:
    """Write the problems out, the first twenty one by one."""
    lines = [f"  {path} {reason}" for path, reason in problems[:_LISTED]]
    more = [f"  … and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
    return "\n".join([f"{len(problems)} picture(s) that cannot be used:", *lines, *more])
