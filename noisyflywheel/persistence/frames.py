"""Arrays of Python objects, pandas indices and tables as plain nested values, for files without pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_SCALARS = (str, bool, int, float, type(None))


def encode_array(array: NDArray[Any], name: str) -> Any:
    """An array as itself, or as a dict where it holds Python objects.

    Raises
    ------
    TypeError
        For objects other than strings, bools, ints, floats and None; the message has ``name``.
    """
    array = np.asarray(array)
    if array.dtype.kind not in "OT":
        return array
    items = array.tolist()
    if array.ndim != 1 or not all(isinstance(item, _SCALARS) for item in items):
        raise TypeError(f"{name} holds objects that are no strings, bools or numbers: it cannot be stored")
    if items and all(isinstance(item, str) for item in items) and np.asarray(items).tolist() == items:
        return {"objects": np.asarray(items)}
    return {"objects": items}


def decode_array(value: Any) -> NDArray[Any]:
    """The inverse of `encode_array`.

    Raises
    ------
    TypeError, KeyError
        If ``value`` is none of its results.
    """
    if isinstance(value, np.ndarray):
        return value
    items = value["objects"]
    items = items.tolist() if isinstance(items, np.ndarray) else items
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def encode_index(index: pd.Index) -> dict[str, Any]:
    """A pandas index; frequencies and categories are not kept."""
    if isinstance(index, pd.RangeIndex):
        return {"kind": "range", "range": [index.start, index.stop, index.step], "name": index.name}
    if isinstance(index, pd.MultiIndex):
        levels = [index.get_level_values(i) for i in range(index.nlevels)]
        return {"kind": "multi", "levels": [encode_index(level) for level in levels]}
    if isinstance(index, pd.DatetimeIndex):
        zone = None if index.tz is None else str(index.tz)
        utc = index.tz_convert("UTC").tz_localize(None) if zone else index
        return {"kind": "time", "values": utc.to_numpy(), "zone": zone, "name": index.name}
    return {"kind": "plain", "values": encode_array(index.to_numpy(), "the index"), "name": index.name}


def decode_index(value: dict[str, Any]) -> pd.Index:
    """The inverse of `encode_index`."""
    if value["kind"] == "range":
        start, stop, step = value["range"]
        return pd.RangeIndex(start, stop, step, name=value["name"])
    if value["kind"] == "multi":
        levels = [decode_index(level) for level in value["levels"]]
        return pd.MultiIndex.from_arrays(levels, names=[level.name for level in levels])
    if value["kind"] == "time":
        index = pd.DatetimeIndex(value["values"], name=value["name"])
        return index if value["zone"] is None else index.tz_localize("UTC").tz_convert(value["zone"])
    return pd.Index(decode_array(value["values"]), name=value["name"])


def encode_frame(frame: pd.DataFrame) -> dict[str, Any]:
    """A table of plain columns."""
    columns = [[name, encode_array(frame[name].to_numpy(), f"column {name!r}")] for name in frame.columns]
    return {"columns": columns, "index": encode_index(frame.index)}


def decode_frame(value: dict[str, Any]) -> pd.DataFrame:
    """The inverse of `encode_frame`."""
    columns = {name: decode_array(column) for name, column in value["columns"]}
    return pd.DataFrame(columns, index=decode_index(value["index"]))
