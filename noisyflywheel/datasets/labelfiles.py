"""Label files: .pt dictionaries as CIFAR-10N publishes them, .npy and .npz arrays; no code is run."""

from __future__ import annotations

import os
import pickle
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from noisyflywheel.data.paths import user_path
from noisyflywheel.datasets.listfiles import need

# CIFAR-10N's .pt files hold plain NumPy arrays; these rebuild them and nothing else.  The names under
# numpy.core are those of NumPy 1, with which the published files were written.
_RECONSTRUCT = np.ones(1).__reduce__()[0]
_SAFE: list[Any] = [
    _RECONSTRUCT,
    (_RECONSTRUCT, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")},
]

# What NumPy and PyTorch raise for damaged files and for files that would run code.
_UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, MemoryError,
    pickle.UnpicklingError, struct.error, BadZipFile, zlib.error,
)  # fmt: skip


def load_label_file(path: str | os.PathLike[str], member: str | None = None) -> NDArray[np.int64]:
    """Read one column of labels.

    Parameters
    ----------
    path : path
        ``.pt``: a dictionary of arrays, as ``CIFAR-10_human.pt`` and ``CIFAR-100_human.pt`` (Wei et al., ICLR
        2022), or one array or tensor.  ``.npy``: one array.  ``.npz``: named arrays.
    member : str, optional
        Name in the dictionary or archive: ``"worse_label"``, ``"aggre_label"``, ``"random_label1"``,
        ``"clean_label"`` for CIFAR-10N, ``"noisy_label"`` for CIFAR-100N.

    Returns
    -------
    ndarray of shape (n,), int64

    Raises
    ------
    FileNotFoundError, ValueError
        For a missing or unreadable file, one that needs pickle, a missing member, or an array that is not a
        column of whole numbers that int64 holds; the message names the file.
    """
    path = need(user_path(path), "a file of labels")
    readers = {".pt": _read_pt, ".npy": _read_npy, ".npz": read_npz}
    if path.suffix not in readers:
        raise ValueError(f"{path}: label files end in one of {sorted(readers)}")
    content = readers[path.suffix](path)
    if isinstance(content, Mapping):
        if member not in content:
            raise ValueError(f"{path} has no member {member!r}; it has {sorted(map(str, content))}")
        content = content[member]
    elif member is not None:
        raise ValueError(f"{path} holds one array, no member {member!r}")
    try:
        labels = np.asarray(content)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors that numpy does not know
        raise ValueError(f"{path}: labels must be whole numbers (n,): {error}") from error
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"{path}: labels must be whole numbers (n,), got {labels.dtype} {labels.shape}")
    if (labels > np.iinfo(np.int64).max).any():
        raise ValueError(f"{path}: label {labels.max()} in row {labels.argmax()} is too large for int64")
    return labels.astype(np.int64)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read all members of an archive without pickle; ValueError naming the file where that fails."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _UNREADABLE as error:
        raise ValueError(f"{path} is no .npz archive of plain arrays: {error}") from error


def _read_npy(path: Path) -> Any:
    """Read one array without pickle."""
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except _UNREADABLE as error:
        raise ValueError(f"{path} is no plain array: {error}; take the .pt or an .npz form") from error


def _read_pt(path: Path) -> Any:
    """Read tensors and NumPy arrays, and no other objects, from a file of torch.save."""
    try:
        with torch.serialization.safe_globals(_SAFE):
            return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise ValueError(f"{path} is no label file that can be read safely: {error}") from error
