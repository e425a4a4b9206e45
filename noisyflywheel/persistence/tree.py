"""Nested states (of optimizers, schedules, callbacks) as JSON plus named tensors and arrays: no pickle.

JSON's own values stand for themselves. What JSON lacks is written as an object of one key that begins with
``$``: ``$tensor`` and ``$array`` name an entry of the other two parts, ``$tuple`` and ``$dict`` keep what
JSON would turn into lists and string keys, ``$float`` holds NaN and the infinities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from noisyflywheel.exceptions import CheckpointError


class Flat(NamedTuple):
    """A nested state in three parts, as `save_checkpoint` takes them."""

    tensors: dict[str, Tensor]
    arrays: dict[str, NDArray[Any]]
    tree: Any


def flatten(state: Any) -> Flat:
    """Take a nested state apart.

    Parameters
    ----------
    state : nested dicts, lists and tuples
        With None, bools, ints, floats, strings, numpy scalars, tensors and arrays as leaves; dict keys are
        strings, ints or tuples of them.

    Raises
    ------
    TypeError
        For anything else; the message names the place.
    """
    flat = Flat({}, {}, None)
    return flat._replace(tree=_encode(state, "", flat))


def unflatten(flat: Flat, path: str = "state") -> Any:
    """Put a nested state together again; the exact inverse of `flatten`.

    Raises
    ------
    CheckpointError
        If the parts do not fit together; ``path`` names the file in it.
    """
    try:
        return _decode(flat.tree, flat)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise CheckpointError(path, f"damaged: the stored state does not fit together ({error!r})") from error


def _encode(value: Any, where: str, flat: Flat) -> Any:
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.item()
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, Tensor):
        return {"$tensor": _store(flat.tensors, where, value)}
    if isinstance(value, np.ndarray):
        return {"$array": _store(flat.arrays, where, value)}
    if isinstance(value, Mapping):
        return _encode_mapping(value, where, flat)
    if isinstance(value, (list, tuple)):
        items = [_encode(item, _join(where, i), flat) for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    raise TypeError(f"{where or 'the state'} is a {type(value).__name__}, which a checkpoint cannot hold")


def _encode_mapping(value: Mapping[Any, Any], where: str, flat: Flat) -> dict[str, Any]:
    encoded = [(key, _encode(item, _join(where, key), flat)) for key, item in value.items()]
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return dict(encoded)
    return {"$dict": [[_encode(key, where, flat), item] for key, item in encoded]}


def _store(part: dict[str, Any], where: str, value: Any) -> str:
    """Keep ``value`` under the name of its place, made unique (keys may hold dots); returns the name."""
    name = base = where or "value"
    count = 1
    while name in part:
        count += 1
        name = f"{base}#{count}"
    part[name] = value
    return name


def _join(where: str, key: Any) -> str:
    return f"{where}.{key}" if where else str(key)


def _decode(value: Any, flat: Flat) -> Any:
    if isinstance(value, list):
        return [_decode(item, flat) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and next(iter(value)).startswith("$"):
        return _decode_tagged(*next(iter(value.items())), flat)
    return {key: _decode(item, flat) for key, item in value.items()}


def _decode_tagged(tag: str, content: Any, flat: Flat) -> Any:
    if tag == "$tensor":
        return flat.tensors[content]
    if tag == "$array":
        return flat.arrays[content]
    if tag == "$tuple":
        return tuple(_decode(item, flat) for item in content)
    if tag == "$dict":
        return {_decode(key, flat): _decode(item, flat) for key, item in content}
    if tag == "$float" and content in ("nan", "inf", "-inf"):
        return float(content)
    raise ValueError(f"unknown mark {tag!r}")
