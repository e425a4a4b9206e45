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

PLAIN = (type(None), bool, int, float, str)


def encode(value: Any, where: str = "state") -> Any:
    """A nested state in a form that `decode` inverts; tensors lie on the CPU.

    It holds mappings (whose keys are strings, ints or tuples of them), lists and tuples of None, bools, ints, floats,
    strings, numpy scalars, tensors, arrays, pandas indices (without frequencies and categories) and tables. Raises
    TypeError for anything else, with its place, which begins with ``where``.
    """
    if isinstance(value, np.generic) and value.dtype.kind not in "mMV":
        value = value.item()
    if type(value) in PLAIN:
        return value
    for kind, encoder in _ENCODERS.items():
        if isinstance(value, kind):
            return encoder(value, where)
    raise TypeError(f"{where} is a {type(value).__name__}, which cannot be stored")


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


def _encode_tensor(tensor: Tensor, where: str) -> Tensor:
    """On the CPU; without the rest of the memory that it is a part of."""
    tensor = tensor.detach().cpu().as_subclass(Tensor)
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.clone()


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
    names = encode(list(index.names), where)
    if isinstance(index, pd.RangeIndex):
        return OrderedDict(range=[index.start, index.stop, index.step, names])
    if isinstance(index, pd.MultiIndex):
        levels = [index.get_level_values(i) for i in range(index.nlevels)]
        return OrderedDict(levels=[encode(levels, where), names])
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        return OrderedDict(times=[encode(index.tz_convert(None).to_numpy(), where), str(index.tz), names])
    return OrderedDict(index=[encode(index.to_numpy(), where), names])


def _encode_frame(frame: pd.DataFrame, where: str) -> OrderedDict[str, Any]:
    columns = [(name, frame[name].to_numpy()) for name in frame.columns]
    return OrderedDict(frame=encode([columns, frame.index], where))


def _encode_mapping(mapping: Mapping[Any, Any], where: str) -> dict[Any, Any]:
    for key in mapping:
        if not isinstance(key, (str, int, tuple)):
            raise TypeError(f"{where} has the key {key!r}, which cannot be stored")
    return {encode(key, where): encode(item, f"{where}.{key}") for key, item in mapping.items()}


def _encode_sequence(items: list[Any] | tuple[Any, ...], where: str) -> list[Any] | tuple[Any, ...]:
    encoded = [encode(item, f"{where}.{i}") for i, item in enumerate(items)]
    return encoded if isinstance(items, list) else tuple(encoded)


_ENCODERS: dict[Any, Callable[[Any, str], Any]] = {
    Tensor: _encode_tensor,
    np.ndarray: _encode_array,
    pd.Index: _encode_index,
    pd.DataFrame: _encode_frame,
    Mapping: _encode_mapping,
    (list, tuple): _encode_sequence,
}


def _decode_objects(*items: Any) -> NDArray[Any]:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _named(index: pd.Index, names: list[Any]) -> pd.Index:
    index.names = names
    return index


_DECODERS: dict[str, Callable[..., Any]] = {
    "array": lambda dtype, shape, raw: raw.numpy().view(dtype).reshape(shape),  # numpy lets no bytes be objects
    "objects": _decode_objects,
    "range": lambda start, stop, step, names: _named(pd.RangeIndex(start, stop, step), names),
    "levels": lambda levels, names: pd.MultiIndex.from_arrays(levels, names=names),
    "times": lambda times, zone, names: _named(pd.DatetimeIndex(times, tz="UTC").tz_convert(zone), names),
    "index": lambda values, names: _named(pd.Index(values), names),
    "frame": lambda columns, index: pd.DataFrame(dict(columns), index=index),
}
