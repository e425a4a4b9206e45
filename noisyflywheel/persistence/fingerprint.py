"""What a checkpoint belongs to: a hash of the data and one of the parameters."""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from noisyflywheel.exceptions import CheckpointError

CHUNK = 1 << 24
"""Bytes that are copied at a time."""

WHOLE = 1 << 31
"""Rows of more bytes than this are hashed in evenly spaced chunks of about this size together."""

N_ITEMS = 256
"""Items of a Dataset that are hashed."""

UNRELATED = ("verbose", "checkpoint_dir", "on_cycle", "device", "random_state")
"""Parameters that change no result, or (random_state) that the seeds stand for."""


def data_fingerprint(rows: Tensor | Dataset, labels: NDArray[Any], classes: NDArray[Any]) -> str:
    """Hash of the training data: hexadecimal, 32 digits.

    Parameters
    ----------
    rows : Tensor of shape (n, ...) or Dataset
        Of a tensor every byte, its shape and dtype; beyond 2 GiB evenly spaced chunks. Of a Dataset its
        length and 256 evenly spaced items.
    labels : ndarray of shape (n,), int64
        Codes of the given labels.
    classes : ndarray of shape (K,)
    """
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(rows, Tensor):
        _add_tensor(digest, rows)
    else:
        _add_items(digest, rows)
    _add_tensor(digest, torch.from_numpy(np.ascontiguousarray(labels)))
    digest.update(repr((str(np.asarray(classes).dtype.kind), np.asarray(classes).tolist())).encode())
    return digest.hexdigest()


def parameter_fingerprint(params: Mapping[str, Any], seeds: Iterable[int] | None = None) -> str:
    """Hash of everything that decides a fit beside the data: hexadecimal, 32 digits.

    Parameters
    ----------
    params : mapping
        ``estimator.get_params(deep=False)``. Nets and views go in with all their parameters; classes,
        functions and other objects by name, so that a change of their code is not seen.
    seeds : iterable of int, optional
        The seeds drawn from ``random_state``; None where that is None.
    """
    kept = {name: value for name, value in params.items() if name not in UNRELATED}
    text = repr([_describe(kept), None if seeds is None else [int(seed) for seed in seeds]])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def fit_key(data: str, parameters: str) -> str:
    """Both fingerprints as one: names the folder of a fit."""
    return hashlib.blake2b(f"{data} {parameters}".encode(), digest_size=16).hexdigest()


def _add_tensor(digest: Any, x: Tensor) -> None:
    """Shape, dtype and bytes of a tensor, copied chunk by chunk."""
    digest.update(repr((tuple(x.shape), str(x.dtype))).encode())
    if x.numel() == 0:
        return
    x = x[None] if x.ndim == 0 else x
    row_bytes = max(1, x[0].numel() * x.element_size())
    size = max(1, CHUNK // row_bytes)
    n_chunks = -(-len(x) // size)
    step = max(1, -(-n_chunks * size * row_bytes // WHOLE))
    for i in range(0, n_chunks, step):
        chunk = x[i * size : (i + 1) * size].detach().cpu().contiguous()
        digest.update(chunk.view(-1).view(torch.uint8).numpy().data)


def require_match(found: Any, expected: Mapping[str, str], path: str | os.PathLike[str]) -> None:
    """Raise `CheckpointError` unless a checkpoint's fingerprints are those expected.

    Both map "data" and "parameters" to a fingerprint; ``path`` is named in the error.
    """
    for kind, value in expected.items():
        if not isinstance(found, dict) or found.get(kind) != value:
            raise CheckpointError(
                path, f"belongs to a fit with other {kind}: use another checkpoint_dir, or remove this folder"
            )


def _add_items(digest: Any, dataset: Any) -> None:
    """Length and evenly spaced items of a Dataset; of each its first part."""
    n = len(dataset)
    digest.update(repr(n).encode())
    for i in sorted({round(j) for j in np.linspace(0, n - 1, min(n, N_ITEMS))}):
        item = dataset[i]
        x = item[0] if isinstance(item, (tuple, list)) else item
        _add_tensor(digest, x if isinstance(x, Tensor) else torch.from_numpy(np.array(x)))


def _describe(value: Any) -> Any:
    """A value as nested lists of strings and numbers that are the same in every process."""
    if value is None or isinstance(value, (bool, int, float, str, bytes, complex)):
        return repr(value)
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, (Tensor, np.ndarray)):
        return _describe_array(value)
    if isinstance(value, Mapping):
        ordered = sorted(value.items(), key=lambda pair: str(pair[0]))
        return [[_describe(key), _describe(item)] for key, item in ordered]
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [type(value).__name__, *[_describe(item) for item in items]]
    if isinstance(value, functools.partial):
        return ["partial", _describe(value.func), _describe(value.args), _describe(value.keywords)]
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value).__name__)}"
    return _describe_object(value)


def _describe_array(value: Tensor | NDArray[Any]) -> list[Any]:
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf":
        return ["array", str(value.dtype), _describe(value.tolist())]
    digest = hashlib.blake2b(digest_size=16)
    tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
    _add_tensor(digest, tensor)
    return ["tensor", digest.hexdigest()]


def _describe_object(value: Any) -> list[Any]:
    """Class name and parameters, weights or plain attributes."""
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, nn.Module):
        return [name, _describe(dict(value.state_dict()))]
    if isinstance(value, (torch.device, torch.dtype)):
        return [name, str(value)]
    if hasattr(value, "get_params"):
        return [name, _describe(value.get_params(deep=False))]
    plain = {k: v for k, v in vars(value).items() if _is_plain(v)} if hasattr(value, "__dict__") else {}
    return [name, _describe(plain)]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str, np.generic, np.ndarray, Tensor))
