"""pandas indices as their kind and plain parts, and indices from them: of the same type and dtype."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_pandas: Any = pd  # its stubs know fewer arguments than it

PLAIN = (type(None), bool, int, float, str)

MADE_FROM_TEXT: dict[str, tuple[type, Callable[[Any], str], Callable[[str], Any]]] = {
    "date": (date, date.isoformat, date.fromisoformat),
    "datetime": (datetime, datetime.isoformat, datetime.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "Decimal": (Decimal, str, Decimal),
    "UUID": (UUID, str, UUID),
    "NA": (type(pd.NA), str, lambda _: pd.NA),
    "NaT": (type(pd.NaT), str, lambda _: pd.NaT),
}
"""Items of an index of objects that are kept as text: their type, the text of one, and one from its text."""


def parts_of_index(index: pd.Index, where: str) -> tuple[str, list[Any]]:
    """Kind of an index, and parts from which `DECODERS` makes an equal one of the same dtype.

    Parts are plain values, arrays, indices, and lists of them. The frequency of times is kept where its name makes it.

    Raises
    ------
    TypeError
        If there are none; the message has ``where`` it is.
    """
    names = list(index.names)
    for find in _FINDERS:
        try:
            kind, *parts = find(index)
            found = DECODERS[kind](*parts, names)
            if found.equals(index) and found.dtype == index.dtype:
                return kind, [*parts, names]
        except Exception:  # of any kind: pandas's, about what the index is not
            continue
    raise TypeError(
        f"the index of X or y ({where}) is of dtype {index.dtype}, with items such as {index[:1].tolist()}, which "
        "cannot be stored: keep the classifier by pickle or joblib, or fit on X and y with reset_index(drop=True)"
    )


def _steps(index: Any) -> tuple[Any, ...]:
    """Times with a frequency."""
    if not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)):
        raise TypeError("it is of other kinds")
    freq: Any = index.freq
    found = "steps", *_instants(index), freq.freqstr
    if _of_steps(*found[1:], [None]).freq != freq:
        raise ValueError("its name does not make this frequency")
    return found


def _instants(index: Any) -> tuple[NDArray[Any], str | None]:
    zone = getattr(index, "tz", None)
    return (index.to_numpy(), None) if zone is None else (index.tz_convert(None).to_numpy(), str(zone))


def _by_kind(index: Any) -> tuple[Any, ...]:
    """Kinds that pandas has a class or a dtype for."""
    if isinstance(index, pd.RangeIndex):
        return "range", index.start, index.stop, index.step
    if isinstance(index, pd.MultiIndex):
        return "levels", [index.get_level_values(i) for i in range(index.nlevels)]
    if isinstance(index, pd.CategoricalIndex):
        return "categories", np.asarray(index.codes), index.categories, index.ordered
    if isinstance(index, pd.PeriodIndex):
        return "periods", index.asi8, index.freqstr
    if isinstance(index, pd.IntervalIndex):
        return "intervals", index.left, index.right, index.closed
    if isinstance(index, pd.DatetimeIndex) and index.tz is not None:
        return "times", *_instants(index)
    if isinstance(index.dtype, pd.StringDtype):
        is_na = getattr(index.dtype, "na_value", pd.NA) is pd.NA
        return "strings", [item if isinstance(item, str) else None for item in index], index.dtype.storage, is_na
    if isinstance(index.dtype, np.dtype):
        return ("objects_of_index", _texts(index)) if index.dtype == object else ("index", index.to_numpy())
    numbers = index.to_numpy(dtype=index.dtype.numpy_dtype, na_value=0)
    return "nullable", numbers, np.asarray(index.isna()), str(index.dtype)


def _arrow(index: Any) -> tuple[Any, ...]:
    """Columns of Arrow whose type has a plain name."""
    return "arrow", _texts(index.astype(object)), str(index.dtype)


_FINDERS: tuple[Callable[[Any], tuple[Any, ...]], ...] = (_steps, _by_kind, _arrow)


def _texts(index: pd.Index) -> list[Any]:
    """Items of an index; those that are not plain as pairs of a name of `MADE_FROM_TEXT` and their text."""
    return [_text(item.item() if isinstance(item, np.generic) else item) for item in index]


def _text(item: Any) -> Any:
    if type(item) in PLAIN:
        return item
    name = next(name for name, (kind, *_) in MADE_FROM_TEXT.items() if type(item) is kind)
    return name, MADE_FROM_TEXT[name][1](item)


def _items(texts: list[Any]) -> NDArray[Any]:
    """The inverse of `_texts`."""
    items = [MADE_FROM_TEXT[item[0]][2](item[1]) if isinstance(item, tuple) else item for item in texts]
    return np.fromiter(items, dtype=object)


def _of_steps(values: NDArray[Any], zone: str | None, freq: str, names: list[Any]) -> Any:
    times: Any = pd.Index(values) if zone is None else _of_times(values, zone, names)
    return type(times)(times, freq=freq).set_names(names)


def _of_times(values: NDArray[Any], zone: str, names: list[Any]) -> pd.Index:
    return pd.DatetimeIndex(values, tz="UTC").tz_convert(zone).set_names(names)


def _of_strings(texts: list[str | None], storage: str, is_na: bool, names: list[Any]) -> pd.Index:
    """Strings of the dtype there is: Arrow, or what pandas 3 brought, may be missing where they are read."""
    missing = {} if is_na else {"na_value": np.nan}
    try:
        dtype = _pandas.StringDtype(storage, **missing)
    except ImportError:
        dtype = _pandas.StringDtype("python", **missing)
    except TypeError:  # pandas before 3
        dtype = object
    return pd.Index(np.array(texts, dtype=object), dtype=dtype).set_names(names)


def _of_nullable(numbers: NDArray[Any], missing: NDArray[np.bool_], dtype: str, names: list[Any]) -> pd.Index:
    array = _pandas.array(numbers, dtype=dtype)
    array[missing] = pd.NA
    return pd.Index(array).set_names(names)


def _of_categories(codes: NDArray[Any], categories: pd.Index, ordered: bool, names: list[Any]) -> pd.Index:
    return pd.CategoricalIndex(pd.Categorical.from_codes(codes, categories, ordered)).set_names(names)


def _of_arrow(texts: list[Any], dtype: str, names: list[Any]) -> pd.Index:
    return pd.Index(_items(texts), dtype=pd.ArrowDtype.construct_from_string(dtype)).set_names(names)


DECODERS: dict[str, Callable[..., Any]] = {
    "range": lambda start, stop, step, names: pd.RangeIndex(start, stop, step).set_names(names),
    "levels": lambda levels, names: pd.MultiIndex.from_arrays(levels, names=names),
    "times": _of_times,
    "steps": _of_steps,
    "periods": lambda ordinals, freq, names: _pandas.PeriodIndex.from_ordinals(ordinals, freq=freq).set_names(names),
    "intervals": lambda left, right, closed, names: pd.IntervalIndex.from_arrays(left, right, closed).set_names(names),
    "categories": _of_categories,
    "strings": _of_strings,
    "nullable": _of_nullable,
    "arrow": _of_arrow,
    "objects_of_index": lambda texts, names: pd.Index(_items(texts), dtype=object).set_names(names),
    "index": lambda values, names: pd.Index(values).set_names(names),
}
"""Makers of an index from its parts and names, by kind; files of earlier versions have some of these kinds."""
