"""CIFAR-10 and CIFAR-100 as torchvision keeps them, with human labels beside; CIFAR-10N in one archive."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisyflywheel.datasets.base import NoisyData, read_images
from noisyflywheel.datasets.labelfiles import load_label_file, read_npz
from noisyflywheel.datasets.listfiles import need

_PREFIX = "y_"
_ARCHIVE_MEMBERS = ("jpeg", "offsets", "y_clean", "y_test", "class_names")


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


def load_cifar10n(
    path: str | os.PathLike[str],
    labels: str = "worse",
    *,
    train: bool = True,
    n_rows: int | None = None,
    on_error: str = "raise",
) -> NoisyData:
    """Read CIFAR-10N kept as JPEG copies in one .npz archive.

    Members: ``jpeg`` (all files end to end, uint8), ``offsets`` (n_train + n_test + 1: where each begins),
    ``y_clean`` and ``y_<name>`` (n_train), ``y_test`` (n_test), ``class_names``.

    Parameters
    ----------
    path : path
    labels : str, default="worse"
        Which given labels: member ``y_<labels>``, such as "aggre", "random1", "clean".
    train : bool, default=True
        Training rows, or test rows, whose labels are the true ones.
    n_rows : int, optional
        The first rows only.
    on_error : {"raise", "skip"}
        What to do about pictures that cannot be decoded.

    Returns
    -------
    NoisyData

    Raises
    ------
    ValueError
        For an archive without these members, lengths that do not fit, or bad pictures; it names the file.
    """
    path = need(Path(path), "an .npz archive of CIFAR-10N")
    archive = read_npz(path)
    absent = [name for name in (*_ARCHIVE_MEMBERS, _PREFIX + labels) if name not in archive]
    if absent:
        raise ValueError(f"{path} has no member {', '.join(absent)}; it has {', '.join(sorted(archive))}")
    n_train, n_test = len(archive["y_clean"]), len(archive["y_test"])
    _check_archive(path, archive, n_train, n_test, _PREFIX + labels)
    first, rows = (0, n_train) if train else (n_train, n_test)
    rows = rows if n_rows is None else min(rows, n_rows)
    X, kept = _decode(path, archive, first, rows, on_error)
    y_clean = archive["y_clean" if train else "y_test"].astype(np.int64)[kept]
    y = archive[_PREFIX + labels].astype(np.int64)[kept] if train else y_clean
    return NoisyData(X, y, y_clean, tuple(map(str, archive["class_names"])))


def _check_archive(path: Path, archive: dict[str, NDArray[Any]], n_train: int, n_test: int, name: str) -> None:
    """Refuse an archive whose members do not fit each other."""
    offsets, size = archive["offsets"].astype(np.int64), archive["jpeg"].size
    if len(offsets) != n_train + n_test + 1:
        raise ValueError(f"{path}: offsets has {len(offsets)} entries for {n_train} + {n_test} pictures")
    if offsets[0] < 0 or (np.diff(offsets) < 0).any() or offsets[-1] > size:
        raise ValueError(f"{path}: offsets do not rise within the {size} bytes of jpeg")
    if len(archive[name]) != n_train:
        raise ValueError(f"{path}: {name} has {len(archive[name])} labels for {n_train} pictures")


def _decode(
    path: Path, archive: dict[str, NDArray[Any]], first: int, rows: int, on_error: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode `rows` pictures from number `first` on; returns them with the numbers of those kept."""
    ends = archive["offsets"].astype(np.int64)
    data = archive["jpeg"].tobytes()
    sources = ((f"{path}, picture {i}", io.BytesIO(data[ends[i] : ends[i + 1]])) for i in range(first, first + rows))
    return read_images(sources, rows, on_error)


def _load(
    kind: Any,
    root: str | os.PathLike[str],
    train: bool,
    label_file: str | os.PathLike[str] | None,
    member: str | None,
    download: bool,
) -> NoisyData:
    """Read one of torchvision's CIFAR classes and put given labels beside the true ones."""
    folder = Path(root) / kind.base_folder
    try:
        data = kind(os.fspath(root), train=train, download=download)
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
