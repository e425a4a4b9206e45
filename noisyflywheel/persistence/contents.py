"""Values as nested lists that hash alike in every process: without addresses, and whatever is shared in memory."""

from __future__ import annotations

import contextlib
import copyreg
import functools
import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from noisyflywheel.data.workers import OPTIONS
from noisyflywheel.persistence.code import counts_by_code, parts_of_class, parts_of_function

CHUNK = 1 << 24
"""Bytes that are copied at a time."""

DEEPEST = 60
"""Levels down to which a value is looked at; what lies deeper counts by its type."""

WORKER_OPTIONS = {f"iterator_{use}__{option}" for use in ("train", "valid") for option in OPTIONS}
"""Parameters of a net that say how rows are read, which changes none of them."""

_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, np.ndarray, torch.device, torch.dtype)

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")

_OF_EVERY_MODULE = vars(nn.Module()).keys()


def described(value: Any) -> Any:
    """Nested lists and plain values that differ where ``value`` does.

    Of an object counts what a copy of it is made from, of a scikit-learn estimator or skorch net that is cloned its
    parameters, of a module types, attributes, weights and what is frozen. Functions and classes of installed packages
    count by name, others by their code (`noisyflywheel.persistence.code`).
    """
    return _Describer().of(value)


def describe_tensor(x: Tensor) -> list[Any]:
    """Shape, dtype and hashes of the bytes, which are copied chunk by chunk where they do not lie in a row."""
    if is_lazy(x):  # a weight of LazyLinear that has seen no rows
        return ["lazy", str(x.dtype)]
    rows = x if x.ndim and x.numel() else x.reshape(1, -1)
    size = max(1, CHUNK // max(1, rows[0].numel() * x.element_size()))
    chunks = (chunk.detach().cpu().contiguous().view(-1).view(torch.uint8) for chunk in rows.split(size))
    return [repr(tuple(x.shape)), str(x.dtype), [joblib.hash(chunk.numpy()) for chunk in chunks]]


def keeps_its_fit(estimator: Any) -> bool:
    """Whether a clone of an estimator is fitted as it is, as that of scikit-learn's FrozenEstimator."""
    own = getattr(type(estimator), "__sklearn_clone__", None)
    return own is not None and own is not BaseEstimator.__sklearn_clone__


class _Describer:
    """Describes one value; what it is in the middle of, and so meets again inside, counts by its type or name."""

    def __init__(self) -> None:
        self.begun: set[int] = set()
        self.copied = False  # whether what is looked at is copied as it is, fitted estimators too, and not cloned
        self.done: dict[tuple[int, bool], tuple[Any, str]] = {}  # hashes by id, with whose it is: no other takes it

    def of(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return describe_tensor(value)
        if isinstance(value, _PLAIN):
            return value
        if inspect.ismodule(value) or (inspect.isclass(value) and not counts_by_code(value)):
            return _name(value)
        if id(value) in self.begun or len(self.begun) >= DEEPEST:
            return ["...", _name(value if inspect.isclass(value) or inspect.isroutine(value) else type(value))]
        self.begun.add(id(value))
        try:
            return self._nested(value)
        finally:
            self.begun.remove(id(value))

    def _nested(self, value: Any) -> Any:
        if inspect.isclass(value):
            return self._coded(value, parts_of_class)
        if isinstance(value, Mapping):
            return sorted(([self.of(key), self.of(item)] for key, item in value.items()), key=lambda pair: str(pair[0]))
        if isinstance(value, (set, frozenset)):
            return [type(value).__name__, *sorted(map(self.of, value), key=repr)]
        if isinstance(value, (list, tuple)):
            return [type(value).__name__, *map(self.of, value)]
        if isinstance(value, functools.partial):
            with self._of_copies():
                return ["partial", *map(self.of, (value.func, value.args, value.keywords))]
        if inspect.isroutine(value) and hasattr(value, "__name__"):  # a functools.cached_property has none
            return self._routine(value)
        return [self.of(type(value)), self._object(value)]

    def _routine(self, value: Any) -> Any:
        """A function by its code or its name; with its object if it is a method, with what it holds if it holds any."""
        with self._of_copies():
            if inspect.ismethod(value):
                return [self.of(value.__func__), self.of(value.__self__)]
            if inspect.isfunction(value) and counts_by_code(value):
                return self._coded(value, parts_of_function)
            held = [value.__wrapped__] if hasattr(value, "__wrapped__") else []  # in a functools.cache
            if inspect.isfunction(value) and "<" in value.__qualname__:
                cells = [cell.cell_contents for cell in value.__closure__ or () if cell != types.CellType()]
                held = [part for part in (cells, value.__defaults__, value.__kwdefaults__) if part]
            return [_name(value), *map(self.of, held)] if held else _name(value)

    def _coded(self, value: Any, parts: Callable[[Any], list[Any]]) -> Any:
        """Name and code of a function or class; its name alone if it is of a kind that cannot be looked into."""
        try:
            with self._of_copies():
                return [_name(value), self._hash(value, parts)]
        except Exception:  # of any kind: what it holds is the user's own
            return _name(value)

    def _object(self, value: Any) -> Any:
        if hasattr(value, "get_params") and not self.copied and not keeps_its_fit(value):
            return self.of(_params(value))
        with self._of_copies():
            content = _weights_and_attributes(value) if isinstance(value, nn.Module) else _content(value)
            if isinstance(content, dict) and all(map(_is_plain, content.values())):
                return self.of(content)
            return self._hash(value, lambda _: content)

    def _hash(self, value: Any, content: Callable[[Any], Any]) -> str:
        """Hash of the content of an object, which is described once."""
        key = id(value), self.copied
        if key not in self.done:
            self.done[key] = value, joblib.hash(self.of(content(value)))
        return self.done[key][1]

    @contextlib.contextmanager
    def _of_copies(self) -> Iterator[None]:
        """Inside, estimators count with what they have learnt: what holds them is copied."""
        before, self.copied = self.copied, True
        try:
            yield
        finally:
            self.copied = before


def _weights_and_attributes(module: nn.Module) -> list[Any]:
    """Weights of a module, names of those that are frozen, and types and own attributes of its parts."""
    frozen = [name for name, weight in module.named_parameters() if not weight.requires_grad]
    parts = {name: [type(part), _own_attributes(part)] for name, part in module.named_modules()}
    return [dict(module.named_buffers()) | dict(module.state_dict()), frozen, parts]


def _own_attributes(module: nn.Module) -> dict[str, Any]:
    """What is set on a module beside weights, parts and hooks; nothing of what torch.compile wraps one in."""
    if type(module).__module__.startswith("torch._dynamo"):
        return {}
    own = {name: item for name, item in vars(module).items() if name not in _OF_EVERY_MODULE}
    return {name: item for name, item in own.items() if not isinstance(item, RemovableHandle)}  # a running number


def _params(value: Any) -> dict[str, Any]:
    """Parameters of an estimator or a net."""
    params = {name: item for name, item in value.get_params(deep=False).items() if name not in WORKER_OPTIONS}
    named = params.get("_params_to_validate")  # skorch's list of what was set by double underscores
    return params if named is None else params | {"_params_to_validate": set(named) - WORKER_OPTIONS}


def _content(value: Any) -> Any:
    """What an object is copied from: its attributes, or what its class has chosen; its text if it cannot be copied."""
    try:
        made = value.__reduce_ex__(4)
    except Exception:  # of any kind: the class's own code
        return vars(value) if getattr(value, "__dict__", None) else _ADDRESS.sub("", repr(value))
    if isinstance(made, str):
        return made
    make, args, state, *items = made if len(made) > 2 else (*made, None)
    is_new = make is copyreg.__newobj__ and len(args) == 1  # type: ignore[attr-defined]
    if is_new and all(part is None for part in items):
        return state or {}
    return [make, args, state, *(list(part or ()) for part in items[:2])]


def _is_plain(value: Any) -> bool:
    return all(map(_is_plain, value)) if isinstance(value, (list, tuple)) else isinstance(value, (*_PLAIN, Tensor))


def _name(value: Any) -> str:
    """Name of a class, function or Python module."""
    if inspect.ismodule(value):
        return value.__name__
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', type(value).__name__)}"
