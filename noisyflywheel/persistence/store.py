"""One checkpoint on disk: tensors in safetensors, arrays in npz, everything else in a JSON manifest."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.persistence.atomic import generations, write_generation
from noisyflywheel.persistence.manifest import check_file, dump_manifest, parse_manifest

MANIFEST, TENSORS, ARRAYS = "manifest.json", "tensors.safetensors", "arrays.npz"


class Checkpoint(NamedTuple):
    """What `load_checkpoint` returns."""

    tensors: dict[str, Tensor]
    arrays: dict[str, NDArray[Any]]
    meta: dict[str, Any]


def save_checkpoint(
    directory: str | os.PathLike[str],
    tensors: dict[str, Tensor],
    arrays: dict[str, NDArray[Any]],
    meta: dict[str, Any],
) -> Path:
    """Write a checkpoint; the one before is kept until the new one is whole on the disk.

    Parameters
    ----------
    directory : path-like
        Made if it is not there. One writer at a time (see `noisyflywheel.persistence.slots`).
    tensors : dict of str to Tensor
        From any device, of any dtype that safetensors has.
    arrays : dict of str to ndarray
        Of numbers, bools or fixed-length strings; object arrays are refused.
    meta : dict
        JSON values (see `noisyflywheel.persistence.tree` for nested states).

    Returns
    -------
    Path
        The directory of this generation.

    Raises
    ------
    CheckpointError
        If it cannot be written.
    TypeError, ValueError
        If ``arrays`` or ``meta`` hold what the format cannot.
    """
    files = {TENSORS: safetensors.torch.save(_own_memory(tensors))}
    if arrays:
        files[ARRAYS] = _dump_arrays(arrays)
    files[MANIFEST] = dump_manifest(files, meta)
    return write_generation(Path(directory), files)


def has_checkpoint(directory: str | os.PathLike[str]) -> bool:
    """Whether ``directory`` holds a checkpoint, whole or not."""
    return bool(generations(Path(directory)))


def load_checkpoint(directory: str | os.PathLike[str]) -> Checkpoint:
    """Read the newest checkpoint; nothing is unpickled, imported or executed.

    Every byte is compared with the manifest before it is parsed.

    Raises
    ------
    CheckpointError
        If there is none, a file is missing, empty, truncated or changed, or its format is newer.
    """
    found = generations(Path(directory))
    if not found:
        raise CheckpointError(directory, "holds no checkpoint")
    path = found[-1]
    manifest = parse_manifest(_read(path / MANIFEST), path / MANIFEST)
    contents = _checked_files(path, manifest["files"])
    arrays = _load_arrays(contents[ARRAYS], path / ARRAYS) if ARRAYS in contents else {}
    meta = manifest["meta"]
    if not isinstance(meta, dict):
        raise CheckpointError(path / MANIFEST, "damaged: meta is no JSON object")
    return Checkpoint(_load_tensors(contents[TENSORS], path / TENSORS), arrays, meta)


def _checked_files(path: Path, described: dict[str, Any]) -> dict[str, bytes]:
    """Content of every file of the manifest, which may name our two files only."""
    if not {TENSORS} <= set(described) <= {TENSORS, ARRAYS}:
        raise CheckpointError(path / MANIFEST, f"damaged: lists the files {sorted(described)}")
    contents = {}
    for name, description in described.items():
        contents[name] = _read(path / name)
        check_file(contents[name], description, path / name)
    return contents


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(path, "the file is missing") from error
    except OSError as error:
        raise CheckpointError(path, f"cannot be read ({error.strerror})") from error


def _own_memory(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors on the CPU, contiguous, none sharing memory with another (safetensors stores no views)."""
    seen: set[int] = set()
    owned = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        address = tensor.untyped_storage().data_ptr()
        owned[name] = tensor if whole and address not in seen else tensor.clone()
        seen.add(address)
    return owned


def _dump_arrays(arrays: dict[str, NDArray[Any]]) -> bytes:
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"array {name!r} has dtype {array.dtype}, which cannot be stored without pickle")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), entry.getvalue())
    return buffer.getvalue()


def _load_arrays(content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with np.load(io.BytesIO(content), allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # zip and npy readers raise many kinds
        raise CheckpointError(path, f"no arrays of numbers and strings ({type(error).__name__})") from error
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):  # numpy hands other entries out as bytes
        raise CheckpointError(path, "no arrays of numbers and strings (an entry is no npy file)")
    return arrays


def _load_tensors(content: bytes, path: Path) -> dict[str, Tensor]:
    try:
        tensors = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(path, f"no safetensors file ({type(error).__name__})") from error
    return {name: torch.as_tensor(tensor) for name, tensor in tensors.items()}
