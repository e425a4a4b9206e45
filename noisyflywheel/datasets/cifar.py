"""CIFAR-10 and CIFAR-100 as torchvision keeps them, with human labels beside."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from noisyflywheel.data.paths import user_path
from noisyflywheel.datasets.base import NoisyData
from noisyflywheel.datasets.labelfiles import load_label_file


def load_cifar10(
    root: str | os.PathLike[str],
    *,
    train: bool = True,
    label_file: str | os.PathLike[str] | None = None,
    member: str | None = None,
    download: bool = False,
) -> NoisyData:
    """Read CIFAR-10 from torchvision's folder ``cifar-10-batches-py``.

    Parameters
    ----------
    root : path
        The folder above ``cifar-10-batches-py``.
    train : bool, default=True
        The 50,000 training pictures or the 10,000 test pictures.
    label_file, member : path and str, optional
        Given labels for the same rows, as `load_label_file` reads them (CIFAR-10N, published noise).
    download : bool, default=False
        Let torchvision fetch the archive.

    Returns
    -------
    NoisyData
        X (n, 32, 32, 3) uint8, y from the label file or the true labels, y_clean, ten class names.

    Raises
    ------
    FileNotFoundError, ValueError
        For a missing or damaged folder, or labels that do not fit; the message names the file.
    """
    from torchvision.datasets import CIFAR10

    return _load(CIFAR10, root, train, label_file, member, download)


def load_cifar100(
    root: str | os.PathLike[str],
    *,
    train: bool = True,
    label_file: str | os.PathLike[str] | None = None,
    member: str | None = None,
    download: bool = False,
) -> NoisyData:
    """Read CIFAR-100 (fine labels) from torchvision's folder ``cifar-100-python``; as `load_cifar10`."""
    from torchvision.datasets import CIFAR100

    return _load(CIFAR100, root, train, label_file, member, download)


def _load(
    kind: Any,
    root: str | os.PathLike[str],
    train: bool,
    label_file: str | os.PathLike[str] | None,
    member: str | None,
    download: bool,
) -> NoisyData:
    """Read one of torchvision's CIFAR classes and put given labels beside the true ones."""
    if member is not None and label_file is None:
        raise ValueError(f"member={member!r} needs the label_file that has it")
    folder = user_path(root) / kind.base_folder
    try:
        data = kind(os.fspath(user_path(root)), train=train, download=download)
    except RuntimeError as error:
        what = "is missing" if not folder.is_dir() else "lacks a file, or one is damaged"
        raise FileNotFoundError(f"{folder} {what}; download=True fetches it") from error
    y_clean = np.asarray(data.targets, dtype=np.int64)
    y = y_clean
    if label_file is not None:
        y = load_label_file(label_file, member)
        if len(y) != len(y_clean):
            raise ValueError(f"{label_file} has {len(y)} labels for the {len(y_clean)} pictures in {folder}")
    return NoisyData(data.data, y, y_clean, tuple(data.classes))
