"""Pictures: read from files, and rows of any image layout shown as RGB."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path, PurePath
from typing import IO, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils import _safe_indexing
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data.devices import on_host
from noisyflywheel.data.lazy import lazy_rows
from noisyflywheel.data.reading import as_row, check_alike, map_items
from noisyflywheel.data.sources import channel_axis
from noisyflywheel.data.transparency import on_white

Picture = NDArray[np.uint8]
PictureFile = str | os.PathLike[str] | IO[bytes]
AnyPath = TypeVar("AnyPath", bound=PurePath)

PLAIN_MODES = ("1", "L", "P", "RGB")
"""Pillow's modes of 8-bit grey, palette and RGB pictures."""

DEEP_FORMATS = ("PNG", "PPM")
"""Formats whose pixels of Pillow's mode "I" are in [0, 65535]; elsewhere they may have any range."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}).union(
    {".jpe", ".jfif", ".jp2", ".avif"}
)
"""Endings of the files in a folder that are taken for pictures, in lower case."""

ORIENTATION = 0x0112
"""EXIF's tag for how the camera was held."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture of this orientation upright."""

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, OverflowError, Image.DecompressionBombError)


def in_order(paths: Iterable[AnyPath]) -> list[AnyPath]:
    """Paths sorted alike on every system; Windows' own order does not tell upper from lower case."""
    return sorted(paths, key=lambda path: path.parts)


class ImageReadError(ValueError):
    """One picture that cannot be used.

    Parameters
    ----------
    source : path or binary file
    reason : str
        What is wrong with it, to be read after its name.
    """

    def __init__(self, source: PictureFile, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        """File and reason."""
        return f"{self.source} {self.reason}"


def read_picture(
    source: PictureFile, *, upright: bool = False, modes: Collection[str] | None = None, about: int | None = None
) -> Image.Image:
    """Read one picture completely, as RGB; of 16-bit grey the upper eight bits, of what is transparent a white ground.

    Parameters
    ----------
    source : path or binary file
    upright : bool, default=False
        Turn it as its camera was held (EXIF); where that cannot be read it stays as it is.
    modes : collection of str, optional
        Pillow's modes that are taken; every one of 8 and 16 bits if not given.
    about : int, optional
        A side in pixels that is enough: JPEGs are decoded no larger than needed for it.

    Raises
    ------
    ImageReadError
        For a missing, unreadable or truncated file, pixels of 32 bits, or a mode that is not taken.
    """
    try:
        with Image.open(source) as image:
            if modes is not None and image.mode not in modes:
                channels = f"{len(image.getbands())} channel(s) of mode {image.mode}"
                raise ImageReadError(source, f"has {channels}, not 8-bit grey or RGB")
            if about is not None:
                image.draft("RGB", (about, about))
            is_deep = image.mode.startswith("I;16") or (image.mode == "I" and image.format in DEEP_FORMATS)
            if image.mode in ("I", "F") and not is_deep:
                raise ImageReadError(source, f"has 32-bit pixels (mode {image.mode}), not 8 or 16 bits")
            picture = _upright(image) if upright else image
            return _upper_bits(picture).convert("RGB") if is_deep else on_white(picture)
    except ImageReadError:
        raise
    except FileNotFoundError as error:
        raise ImageReadError(source, "is missing") from error
    except _UNREADABLE as error:
        text = " ".join(str(error).split())
        raise ImageReadError(source, f"cannot be read: {type(error).__name__}" + f": {text}" * bool(text)) from error


def _upright(image: Image.Image) -> Image.Image:
    """A picture as its camera was held, or as it is where its EXIF is damaged."""
    image.load()
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - Pillow raises many kinds for damaged EXIF
        return image
    return image if turn is None else image.transpose(turn)


def _upper_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey: the same for all pictures, whatever range one of them has."""
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def as_pictures(X: Any, rows: Sequence[int], image_shape: tuple[int, ...] | None = None) -> list[Picture]:
    """The chosen rows of X as RGB pictures.

    Parameters
    ----------
    X : array-like of n rows, Tensor, Dataset, SliceDataset, h5py.Dataset, zarr.Array, or sequence of n file paths
        Images (H, W), (H, W, C) or (C, H, W), vectors of `image_shape`, or paths of image files.
    rows : sequence of int
        Positions to show.
    image_shape : tuple, optional
        Shape of one row when X holds vectors, for example (8, 8).

    Returns
    -------
    pictures : list of uint8 ndarray of shape (H, W, 3)

    Raises
    ------
    ValueError
        If the rows are no pictures, have another number of pixels than `image_shape`, or a file is none; the message
        names it.
    """
    chosen = [int(row) for row in rows]
    if is_paths(X):
        paths = list(X)
        return [thumbnail(paths[i]) for i in chosen]
    if not chosen:
        return []
    part = rows_of(X, chosen)
    if image_shape is not None:
        part = _reshaped(part, tuple(image_shape))
    return [rgb(picture) for picture in to_uint8(channels_last(part))]


def _reshaped(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Rows (m, ...) as (m, *shape)."""
    wanted, there = int(np.prod(shape)), int(np.prod(rows.shape[1:]))
    if wanted != there and min(shape, default=0) >= 0:  # -1 stands for what is left
        raise ValueError(f"image_shape {shape} has {wanted} numbers, a row has {there}")
    return rows.reshape(len(rows), *shape)


def rows_of(X: Any, rows: Sequence[int] | NDArray[np.intp]) -> NDArray[Any]:
    """Rows (m, ...) of X in the order asked for, wherever they lie: in memory, on a GPU, on disk or in a Dataset."""
    on_disk = lazy_rows(X)
    if on_disk is not None:
        return on_disk.array.take(np.array(rows))
    if isinstance(X, Dataset):
        return on_host(torch.stack(map_items(as_row, X, rows)))
    if isinstance(X, Tensor):
        return on_host(X[torch.as_tensor(rows)])
    return np.asarray(on_host(stacked_pictures(_safe_indexing(X, rows))))


def lists_pictures(X: Any) -> bool:
    """Whether X is a list, tuple, 1-D array or column of objects that are pictures, or arrays of two axes and more."""
    is_column = getattr(getattr(X, "dtype", None), "kind", None) == "O" and getattr(X, "ndim", 0) == 1
    is_list = is_column or isinstance(X, list | tuple)
    first = next(iter(X), None) if is_list else None
    return first is not None and not isinstance(first, str | Path) and np.ndim(first) > 1


def stacked_pictures(X: Any) -> Any:
    """What `lists_pictures` as one tensor (n, ...); anything else as it is.

    Raises
    ------
    ValueError
        If they differ in shape, or only some are of 8 bits; the message names one.
    """
    if not lists_pictures(X):
        return X
    pictures = [as_row((picture,)) for picture in X]
    check_alike(pictures, range(len(pictures)), "X")
    return torch.stack(pictures)


def is_paths(X: Any) -> bool:
    """Whether X is a column or list of file names."""
    first = next(iter(X), None) if isinstance(X, list | tuple) or getattr(X, "ndim", 0) == 1 else None
    return isinstance(first, str | Path)


def thumbnail(path: PictureFile, size: int = 256) -> Picture:
    """One image file, upright and no larger than `size` pixels a side, as (H, W, 3)."""
    picture = read_picture(path, upright=True, about=size)
    picture.thumbnail((size, size))
    return np.asarray(picture)


def channels_last(images: NDArray[Any]) -> NDArray[Any]:
    """Images (m, H, W), (m, H, W, C) or (m, C, H, W) as (m, H, W, C), C in {1, 3, 4}.

    Where the channels are, `channel_axis` says.

    Raises
    ------
    ValueError
        If neither axis can be channels.
    """
    if images.ndim == 3:
        return images[..., None]
    axis = channel_axis(images.shape) if images.ndim == 4 else None
    if axis is not None:
        return np.moveaxis(images, axis, -1)
    raise ValueError(f"rows of shape {images.shape[1:]} are no pictures; give image_shape=(H, W[, C])")


def to_uint8(images: NDArray[Any]) -> Picture:
    """Pixel values as 0 … 255; floats and wide integers are stretched from [0, 1] or their own range."""
    if images.dtype == np.uint8:
        return images
    x = np.nan_to_num(images.astype(np.float32))
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return np.rint((x - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def rgb(picture: Picture) -> Picture:
    """One picture (H, W, C) as (H, W, 3): grey is repeated, transparency dropped."""
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture[..., :3]
