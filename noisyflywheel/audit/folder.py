"""An image folder with one subfolder per class: its manifest and its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from noisyflywheel.data.pictures import SUFFIXES, ImageReadError, read_picture


def image_manifest(folder: str | Path) -> pd.DataFrame:
    """Files of a folder of class subfolders.

    Parameters
    ----------
    folder : str or Path
        `folder/CLASS/…/picture.png`; hidden files and folders are skipped.

    Returns
    -------
    manifest : DataFrame
        `path` below the folder, with forward slashes, and `label`, the name of the subfolder; sorted by path.

    Raises
    ------
    ValueError
        If no subfolder holds a picture.
    """
    root = Path(folder)
    rows = [
        (path.relative_to(root).as_posix(), path.relative_to(root).parts[0])
        for path in sorted(root.glob("*/**/*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and not _hidden(path.relative_to(root))
    ]
    if not rows:
        raise ValueError(f"{root} has no subfolders with pictures; one subfolder per class is expected")
    return pd.DataFrame(rows, columns=["path", "label"])


def _hidden(path: Path) -> bool:
    """Whether a part of the path starts with a dot."""
    return any(part.startswith(".") for part in path.parts)


def read_pixels(path: Path, size: int) -> NDArray[np.uint8]:
    """One picture as (size, size, 3): turned upright, its middle square, resized.

    Raises
    ------
    ImageReadError
        If the file is truncated or no picture.
    """
    return np.asarray(ImageOps.fit(read_picture(path, upright=True), (size, size), Image.Resampling.BILINEAR))


def load_folder(folder: str | Path, size: int = 32) -> tuple[pd.DataFrame, NDArray[np.uint8], list[tuple[str, str]]]:
    """Manifest and pixels of a folder; files that cannot be read are listed and left out.

    Parameters
    ----------
    folder : str or Path
    size : int, default 32
        Side of the pictures in pixels.

    Returns
    -------
    manifest : DataFrame of n rows
        The readable files.
    pixels : uint8 ndarray of shape (n, size, size, 3)
    unreadable : list of (path, reason)

    Raises
    ------
    ValueError
        If no file can be read.
    """
    manifest = image_manifest(folder)
    pixels, unreadable, kept = [], [], []
    for row, name in enumerate(manifest["path"]):
        try:
            pixels.append(read_pixels(Path(folder) / name, size))
            kept.append(row)
        except ImageReadError as error:
            unreadable.append((name, error.reason))
    if not pixels:
        raise ValueError(f"none of the {len(manifest)} pictures in {folder} can be read")
    return manifest.iloc[kept].reset_index(drop=True), np.stack(pixels), unreadable
