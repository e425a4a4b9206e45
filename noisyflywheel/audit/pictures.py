"""Rows as pictures: arrays of any image layout, flat vectors of a known shape, and files."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from sklearn.utils import _safe_indexing

CHANNELS = (1, 3, 4)
Pictures = NDArray[np.uint8]


def channels_last(images: NDArray[Any]) -> NDArray[Any]:
    """Images (m, H, W), (m, H, W, C) or (m, C, H, W) as (m, H, W, C), C in {1, 3, 4}.

    The last axis decides first, then axis 1.

    Raises
    ------
    ValueError
        If neither axis can be channels.
    """
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4 and images.shape[-1] in CHANNELS:
        return images
    if images.ndim == 4 and images.shape[1] in CHANNELS:
        return np.moveaxis(images, 1, -1)
    raise ValueError(f"rows of shape {images.shape[1:]} are no pictures; give image_shape=(H, W[, C])")


def to_uint8(images: NDArray[Any]) -> Pictures:
    """Pixel values as 0 … 255; floats and wide integers are stretched from [0, 1] or their own range."""
    if images.dtype == np.uint8:
        return images
    x = np.nan_to_num(images.astype(np.float32))
    low, high = (float(x.min()), float(x.max())) if x.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    return np.rint((x - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)


def as_pictures(X: Any, rows: Sequence[int], image_shape: tuple[int, ...] | None = None) -> list[Pictures]:
    """The chosen rows of X as RGB pictures.

    Parameters
    ----------
    X : array-like of n rows, Tensor, SliceDataset, or sequence of n file paths
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
        If the rows are no pictures.
    """
    chosen = list(rows)
    if is_paths(X):
        return [read_picture(list(X)[i]) for i in chosen]
    if not chosen:
        return []
    part = np.asarray(_safe_indexing(X.to_numpy() if hasattr(X, "iloc") else X, chosen))
    if image_shape is not None:
        part = part.reshape(len(chosen), *image_shape)
    return [rgb(picture) for picture in to_uint8(channels_last(part))]


def is_paths(X: Any) -> bool:
    """Whether X is a column or list of file names."""
    first = next(iter(X), None) if isinstance(X, list | tuple) or getattr(X, "ndim", 0) == 1 else None
    return isinstance(first, str | Path)


def rgb(picture: Pictures) -> Pictures:
    """One picture (H, W, C) as (H, W, 3): grey is repeated, transparency dropped."""
    return np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture[..., :3]


def read_picture(path: Any, size: int = 256) -> Pictures:
    """One image file, turned as its camera held it and no larger than `size`, as (H, W, 3)."""
    with Image.open(path) as image:
        image.draft("RGB", (size, size))
        upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((size, size))
        return np.asarray(upright)


def data_uri(picture: Pictures, size: int = 96) -> str:
    """Picture (H, W, 3) as a PNG or JPEG data URI whose longer side is about `size` pixels.

    Small pictures are enlarged without smoothing, by a whole factor.
    """
    image = Image.fromarray(picture)
    longer = max(image.size)
    if longer * 2 <= size:
        factor = size // longer
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    else:
        image.thumbnail((size, size))
    kind, options = ("PNG", {"optimize": True}) if longer < 32 else ("JPEG", {"quality": 85})
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
