"""Nested states as values that ``torch.load(weights_only=True)`` reads back.

Plain values, tensors, dicts, lists and tuples stand for themselves. Arrays, pandas indices and tables, which it does
not read, become an `OrderedDict` of one entry, their kind and their parts; no other `OrderedDict` is written.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisyflywheel.persistence.indices import DECODERS, PLAIN, parts_of_index


def encode(value: Any, where: str = "state") -> Any:
    """A nested state in a form that `decode` inverts; tensors lie on the CPU.

    It holds mappings (whose keys are strings, ints or tuples of them), lists and tuples of None, bools, ints, floats,
    strings, numpy scalars, tensors, arrays, pandas indices (`noisyflywheel.persistence.indices`) and tables. Raises
    TypeError for anything else, with its place, which begins with ``where``.
    """
    if isinstance(value, np.generic) and value.dtype.kind not in "mMV":
        value = value.item()
    if type(value) in PLAIN:
        return value
    if isinstance(value, Mapping):
        return {_encode_key(key, where): encode(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [encode(item, f"{where}.{i}") for i, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, Tensor):
        tensor = value.detach().cpu().as_subclass(Tensor)
        is_part = tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size()
        return tensor.clone() if is_part else tensor  # a part would bring the memory of the whole
    if isinstance(value, np.ndarray):
        return _encode_array(value, where)
    if isinstance(value, pd.Index):
        return _encode_index(value, where)
    if isinstance(value, pd.DataFrame):
        columns = [(name, value[name].to_numpy()) for name in value.columns]
        return OrderedDict(frame=encode([columns, value.index], where))
    raise TypeError(f"{where} is a {type(value).__name__}, which cannot be stored")


def _encode_key(key: Any, where: str) -> Any:
    if not isinstance(key, (str, int, tuple)):
        raise TypeError(f"{where} has the key {key!r}, which cannot be stored")
    return encode(key, where)


def _encode_array(array: NDArray[Any], where: str) -> OrderedDict[str, Any]:
    """Type, shape and bytes; or the items of a column of Python objects or of numpy's strings of any length."""
    if array.dtype.kind in "OT":
        items = [encode(item, f"an item of {where}") for item in array.tolist()]
        if array.ndim != 1 or not all(type(item) in PLAIN for item in items):
            raise TypeError(f"{where} holds objects that are no strings, bools or numbers: it cannot be stored")
        return OrderedDict(objects=items)
    if array.dtype.kind == "V":
        raise TypeError(f"{where} is an array of type {array.dtype}, which cannot be stored")
    raw = torch.from_numpy(np.array(array, order="C").reshape(-1).view(np.uint8))
    return OrderedDict(array=[array.dtype.str, array.shape, raw])


def _encode_index(index: pd.Index, where: str) -> OrderedDict[str, Any]:
    kind, parts = parts_of_index(index, where)
    return OrderedDict({kind: encode(parts, where)})


def decode(value: Any) -> Any:
    """The inverse of `encode`; an error (KeyError, TypeError, ValueError) if ``value`` is none of its results."""
    if type(value) in PLAIN or type(value) is Tensor and value.is_cpu and value.layout == torch.strided:
        return value
    if isinstance(value, OrderedDict):
        ((kind, parts),) = value.items()
        return _DECODERS[kind](*decode(parts))
    if type(value) is dict:
        return {decode(key): decode(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(decode(item) for item in value)
    raise TypeError(f"a {type(value).__name__} is no stored value")


_DECODERS: dict[str, Callable[..., Any]] = {
    **DECODERS,
    "array": lambda dtype, shape, raw: raw.numpy().view(dtype).reshape(shape),  # numpy lets no bytes be objects
    "objects": lambda *items: np.fromiter(items, dtype=object),
    "frame": lambda columns, index: pd.DataFrame(dict(columns), index=index),
}
