"""Data sets published as picture trees with list files: Clothing1M and WebVision."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from noisyflywheel.data.paths import user_path
from noisyflywheel.datasets.base import NoisyData, load_files
from noisyflywheel.datasets.listfiles import inside, read_lines, read_pairs

CLOTHING1M_CLASSES = (
    "T-Shirt", "Shirt", "Knitwear", "Chiffon", "Sweater", "Hoodie", "Windbreaker",
    "Jacket", "Downcoat", "Suit", "Shawl", "Dress", "Vest", "Underwear",
)  # fmt: skip
_CLOTHING1M_SPLITS = {
    "noisy_train": ("noisy_train_key_list.txt", "noisy_label_kv.txt"),
    "clean_train": ("clean_train_key_list.txt", "clean_label_kv.txt"),
    "val": ("clean_val_key_list.txt", "clean_label_kv.txt"),
    "test": ("clean_test_key_list.txt", "clean_label_kv.txt"),
}


def load_clothing1m(
    root: str | os.PathLike[str],
    split: str = "noisy_train",
    *,
    size: int = 224,
    verify: bool = True,
    on_error: str = "raise",
) -> NoisyData:
    """List Clothing1M: a million pictures from shops, 14 classes, labels from the text around them.

    Parameters
    ----------
    root : path
        The folder that holds ``images`` and, beside it or in ``annotations``, the key lists and label files.
    split : {"noisy_train", "clean_train", "val", "test"}
    size : int, default=224
        Pixels a side of the pictures as they are read.
    verify, on_error
        As `noisyflywheel.datasets.load_image_folder` with ``lazy=True``.

    Returns
    -------
    NoisyData
        X an `ImageFiles`; y_clean is None for "noisy_train" and y elsewhere.

    Raises
    ------
    FileNotFoundError, ValueError
        For a missing or malformed list, a picture without label, or bad pictures; the message names the file.
    """
    if split not in _CLOTHING1M_SPLITS:
        raise ValueError(f"split must be one of {sorted(_CLOTHING1M_SPLITS)}, got {split!r}")
    folder = user_path(root)
    lists = folder / "annotations" if (folder / "annotations").is_dir() else folder
    keys_name, labels_name = _CLOTHING1M_SPLITS[split]
    keys_path, labels_path = lists / keys_name, lists / labels_name
    keys = [line.strip() for line in read_lines(keys_path, f"Clothing1M's list of {split}")]
    pairs = read_pairs(labels_path, "Clothing1M's labels")
    label = {key: _class_number(text, 14, labels_path) for key, text in pairs}
    unlabelled = [key for key in keys if key not in label]
    if unlabelled:
        raise ValueError(f"{labels_path} has no label for {unlabelled[0]} of {keys_path}")
    paths = [folder / inside(key, keys_path) for key in keys]
    y = np.array([label[key] for key in keys], dtype=np.int64)
    X, y = load_files(paths, y, size, True, verify, on_error)
    return NoisyData(X, y, None if split == "noisy_train" else y, CLOTHING1M_CLASSES)


def load_webvision(
    root: str | os.PathLike[str],
    *,
    train: bool = True,
    n_classes: int = 50,
    size: int = 299,
    verify: bool = True,
    on_error: str = "raise",
) -> NoisyData:
    """List WebVision 1.0: the Google subset of the first classes (mini-WebVision), or validation pictures.

    Parameters
    ----------
    root : path
        The folder that holds ``info``, ``google`` and ``val_images_256``.
    train : bool, default=True
        ``info/train_filelist_google.txt`` or ``info/val_filelist.txt``.
    n_classes : int, default=50
        Take classes 0..n_classes-1 (Sec. 4.2: 50).
    size : int, default=299
        Pixels a side of the pictures as they are read; 299 is Inception-ResNet-v2's.
    verify, on_error
        As `load_clothing1m`.

    Returns
    -------
    NoisyData
        X an `ImageFiles`; y_clean is None in training and y in validation.

    Raises
    ------
    FileNotFoundError, ValueError
        For a missing or malformed list, or bad pictures; the message names the file.
    """
    folder = user_path(root)
    name, above = ("train_filelist_google.txt", "") if train else ("val_filelist.txt", "val_images_256")
    path = folder / "info" / name
    pairs = read_pairs(path, "WebVision's list of pictures")
    rows = [(key, _class_number(text, 1000, path)) for key, text in pairs]
    rows = [(key, label) for key, label in rows if label < n_classes]
    if not rows:
        raise ValueError(f"{path} lists no picture of classes 0 to {n_classes - 1}")
    paths = [folder / above / inside(key, path) for key, _ in rows]
    y = np.array([label for _, label in rows], dtype=np.int64)
    X, y = load_files(paths, y, size, True, verify, on_error)
    return NoisyData(X, y, None if train else y, _synset_names(folder, n_classes))


def _class_number(text: str, n_classes: int, path: Path) -> int:
    """Read a class number in 0..n_classes-1; ValueError naming the file."""
    if not text.isdecimal() or int(text) >= n_classes:
        raise ValueError(f"{path}: labels must be in 0..{n_classes - 1}, got {text!r}")
    return int(text)


def _synset_names(folder: Path, n_classes: int) -> tuple[str, ...]:
    """Name classes by the first word of ``info/synsets.txt``: "n01440764 tench, Tinca tinca"."""
    path = folder / "info" / "synsets.txt"
    lines = [line.split(maxsplit=1) for line in read_lines(path, "WebVision's class names")]
    if len(lines) < n_classes:
        raise ValueError(f"{path} names {len(lines)} classes, {n_classes} were asked for")
    return tuple(fields[-1].split(",")[0] for fields in lines[:n_classes])
