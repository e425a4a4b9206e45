"""Pictures in folders: one folder per class, and Tiny-ImageNet."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from noisyflywheel.data.paths import user_path
from noisyflywheel.data.pictures import SUFFIXES, in_order
from noisyflywheel.datasets.base import BadImagesWarning, NoisyData, load_files
from noisyflywheel.datasets.listfiles import inside, need, read_lines, read_pairs


def load_image_folder(
    root: str | os.PathLike[str],
    *,
    size: int | None = None,
    lazy: bool = False,
    verify: bool = True,
    on_error: str = "raise",
) -> NoisyData:
    """Read a folder with one sub-folder per class; its name is the class's name.

    Parameters
    ----------
    root : path
    size : int, optional
        Resize the shorter side to it and cut a square; if not given all pictures must be of one size.
    lazy : bool, default=False
        False: one array in memory.  True: an `ImageFiles`, which needs `size`.
    verify : bool, default=True
        Only for ``lazy=True``: decode every file once now, so that no bad one stops the training later.
    on_error : {"raise", "skip"}
        Refuse the folder with the list of all bad pictures, or leave them out with a warning that lists them.

    Returns
    -------
    NoisyData
        Rows sorted by class and file name; y_clean is None.

    Raises
    ------
    FileNotFoundError, ValueError
        For a folder that is missing or holds no class folders; BadImagesError (a ValueError) for bad
        pictures.

    Warns
    -----
    BadImagesWarning
        About class folders without pictures, which stay in ``class_names``, and pictures that are left out.
    """
    folder = need(user_path(root), "a folder with one sub-folder per class", Path.is_dir)
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not names:
        raise ValueError(f"{folder} holds no class folders")
    found = [_pictures(folder / name) for name in names]
    files = [(p, k) for k, pictures in enumerate(found) for p in pictures]
    if not files:
        raise ValueError(f"{folder} holds no pictures in its class folders")
    if empty := [name for name, pictures in zip(names, found, strict=True) if not pictures]:
        ending = f"a picture ends in {', '.join(sorted(SUFFIXES))}"
        message = f"{folder} has class folders without pictures: {', '.join(empty)} ({ending})"
        warnings.warn(message, BadImagesWarning, stacklevel=2)
    y = np.array([k for _, k in files], dtype=np.int64)
    X, y = load_files([p for p, _ in files], y, size, lazy, verify, on_error)
    return NoisyData(X, y, None, tuple(names))


def load_tiny_imagenet(
    root: str | os.PathLike[str],
    *,
    train: bool = True,
    lazy: bool = False,
    verify: bool = True,
    on_error: str = "raise",
) -> NoisyData:
    """Read Tiny-ImageNet from its folder ``tiny-imagenet-200``: 200 classes, pictures of 64 pixels.

    Parameters
    ----------
    root : path
        The folder that holds ``wnids.txt``, ``words.txt``, ``train`` and ``val``.
    train : bool, default=True
        The training pictures or the validation pictures (with labels from ``val/val_annotations.txt``).
    lazy, verify, on_error
        As `load_image_folder`.

    Returns
    -------
    NoisyData
        Classes in the order of their sorted WordNet numbers, named by ``words.txt``; y_clean = y.

    Raises
    ------
    FileNotFoundError, ValueError
        For a missing or malformed list, or bad pictures; the message names the file.
    """
    folder = user_path(root)
    wnids = sorted({line.strip() for line in read_lines(folder / "wnids.txt", "Tiny-ImageNet's classes")})
    number = {wnid: k for k, wnid in enumerate(wnids)}
    files = _tiny_train(folder, wnids) if train else _tiny_val(folder, number)
    if not files:
        raise ValueError(f"{folder} holds no pictures")
    y = np.array([k for _, k in files], dtype=np.int64)
    X, y = load_files([p for p, _ in files], y, 64 if lazy else None, lazy, verify, on_error)
    return NoisyData(X, y, y, _tiny_names(folder, wnids))


def _tiny_train(folder: Path, wnids: list[str]) -> list[tuple[Path, int]]:
    """List ``train/<wnid>/images`` of every class."""
    what = "Tiny-ImageNet's pictures of one class"
    folders = [need(folder / "train" / wnid / "images", what, Path.is_dir) for wnid in wnids]
    return [(p, k) for k, images in enumerate(folders) for p in _pictures(images)]


def _tiny_val(folder: Path, number: dict[str, int]) -> list[tuple[Path, int]]:
    """List the validation pictures with their classes."""
    path = folder / "val" / "val_annotations.txt"
    pairs = read_pairs(path, "Tiny-ImageNet's validation labels", sep="\t")
    unknown = [wnid for _, wnid in pairs if wnid not in number]
    if unknown:
        raise ValueError(f"{path} names the class {unknown[0]}, which wnids.txt does not have")
    return [(folder / "val" / "images" / inside(name, path), number[wnid]) for name, wnid in pairs]


def _tiny_names(folder: Path, wnids: list[str]) -> tuple[str, ...]:
    """Name classes by the first word of ``words.txt``, or by their WordNet numbers where it has none."""
    words = dict(read_pairs(folder / "words.txt", "Tiny-ImageNet's class names", sep="\t"))
    return tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids)


def _pictures(folder: Path) -> list[Path]:
    """List the picture files of one folder, sorted."""
    return in_order(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
