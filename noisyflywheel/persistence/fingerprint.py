"""What a checkpoint belongs to: a hash of the data and one of the parameters."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from noisyflywheel.data import as_row
from noisyflywheel.data.workers import OPTIONS

CHUNK = 1 << 24
"""Bytes that are copied at a time."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, np.ndarray, torch.device, torch.dtype)

N_ITEMS = 256
"""Items of a Dataset that are hashed."""

WORKER_OPTIONS = {f"iterator_{use}__{option}" for use in ("train", "valid") for option in OPTIONS}
"""Parameters of a net that say how rows are read, which changes none of them."""

UNRELATED = ("verbose", "checkpoint_dir", "on_cycle", "device", "random_state", "distributed")
"""Parameters that change no result, or (random_state) that the seeds stand for."""


def data_fingerprint(rows: Tensor | Dataset, labels: NDArray[Any], classes: NDArray[Any]) -> str:
    """Hash of the training data, rows (n, ...), codes of the labels (n,) and classes (K,): 32 hexadecimal digits.

    Of a tensor every byte counts, its shape and dtype; of a Dataset its length and 256 evenly spaced items.
    """
    described = _describe_tensor(rows) if isinstance(rows, Tensor) else _describe_items(rows)
    classes = np.asarray(classes)
    return joblib.hash([described, np.ascontiguousarray(labels), classes.dtype.kind, repr(classes.tolist())])


def parameter_fingerprint(params: Mapping[str, Any], seeds: Iterable[int] | None = None) -> str:
    """Hash of what decides a fit beside the data, parameters and seeds drawn for them: 32 hexadecimal digits.

    Nets and views go in with all their parameters; classes, functions and other objects by name, so that a change of
    their code is not seen. ``seeds`` is None where ``random_state`` is.
    """
    kept = {name: value for name, value in params.items() if name not in UNRELATED}
    return joblib.hash(_describe([kept, None if seeds is None else [int(seed) for seed in seeds]]))


def fit_key(data: str, parameters: str) -> str:
    """Both fingerprints as one: names the folder of a fit."""
    return joblib.hash([data, parameters])


def _describe_tensor(x: Tensor) -> list[Any]:
    """Shape, dtype and hashes of the bytes, which are copied chunk by chunk where they do not lie in a row."""
    rows = x if x.ndim and x.numel() else x.reshape(1, -1)
    size = max(1, CHUNK // max(1, rows[0].numel() * x.element_size()))
    chunks = (chunk.detach().cpu().contiguous().view(-1).view(torch.uint8) for chunk in rows.split(size))
    return [repr(tuple(x.shape)), str(x.dtype), [joblib.hash(chunk.numpy()) for chunk in chunks]]


def _describe_items(dataset: Any) -> list[Any]:
    """Length and evenly spaced items of a Dataset, without their labels."""
    n = len(dataset)
    spaced = sorted({round(i) for i in np.linspace(0, n - 1, min(n, N_ITEMS))})
    return [n, *(_describe_tensor(as_row(dataset[i])) for i in spaced)]


def _describe(value: Any) -> Any:
    """A value as nested lists that hash alike in every process: what is shared in memory does not count."""
    if isinstance(value, Tensor):
        return _describe_tensor(value)
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, Mapping):
        return [[_describe(key), _describe(value[key])] for key in sorted(value, key=str)]
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [type(value).__name__, *map(_describe, items)]
    if isinstance(value, functools.partial):
        return ["partial", *map(_describe, (value.func, value.args, value.keywords))]
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value).__name__)}"
    return [f"{type(value).__module__}.{type(value).__qualname__}", _describe(_content(value))]


def _content(value: Any) -> dict[str, Any]:
    """Weights, parameters or plain attributes of an object."""
    if isinstance(value, nn.Module):
        return dict(value.state_dict())
    if hasattr(value, "get_params"):
        params = {name: item for name, item in value.get_params(deep=False).items() if name not in WORKER_OPTIONS}
        named = params.get("_params_to_validate")  # skorch's list of what was set by double underscores
        return params if named is None else params | {"_params_to_validate": set(named) - WORKER_OPTIONS}
    return {name: item for name, item in getattr(value, "__dict__", {}).items() if _is_plain(item)}


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, (list, tuple)) else isinstance(value, (*_PLAIN, Tensor))
