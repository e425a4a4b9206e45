"""The code of functions and classes of the user's own, as what it is compiled to: without lines, files and addresses.

That of installed packages and of the standard library counts by its name.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np
import torch

LIBRARY = __name__.partition(".")[0]
"""The package whose functions and classes count by name wherever it lies."""

INSTALLED = {"site-packages", "dist-packages"}
"""Names of folders of installed packages, whichever Python installed them."""

PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, torch.dtype, torch.device)
"""Types of the values that count where a function reads them of its module: no data, models or files."""

FILLING = {"append", "appendleft", "extend", "insert", "add", "update", "setdefault", "pop", "clear", "remove"}
"""Methods by which containers change."""

WRITTEN_BY_PYTHON = {"_abc_impl", "__annotate__", "__annotate_func__"}
"""Attributes of a class that say nothing of what it does."""


class _Functions(tuple[Any, ...]):
    """Functions in an attribute of a class that is none itself, and what they are there."""


def counts_by_code(value: Any) -> bool:
    """Whether a function or class counts by its code: lambdas and local functions, and all that is not installed."""
    module = getattr(value, "__module__", None)
    if isinstance(module, str) and module.partition(".")[0] == LIBRARY:
        return False
    is_local = inspect.isfunction(value) and "<" in value.__qualname__
    return is_local or not isinstance(module, str) or not _is_installed(module)


def _is_installed(module: str) -> bool:
    """Whether a Python module is of the standard library or of an installed package."""
    root = module.partition(".")[0]
    if root in ("__main__", "__mp_main__"):
        return False
    file = next((f for name in (module, root) if (f := getattr(sys.modules.get(name), "__file__", None))), None)
    return root in sys.stdlib_module_names if file is None else _is_installed_file(file)


@functools.cache
def _is_installed_file(file: str) -> bool:
    parents = Path(file).resolve().parents
    return not INSTALLED.isdisjoint(folder.name for folder in parents) or not _folders().isdisjoint(parents)


@functools.cache
def _folders() -> set[Path]:
    """Folders of the standard library and of installed packages."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    return {Path(path).resolve() for kind, path in sysconfig.get_paths().items() if kind in kinds}


def parts_of_function(function: FunctionType) -> list[Any]:
    """What a function is compiled to, what it holds, its defaults, and what it reads of its module.

    Of what it reads count functions, classes and plain values, of both what it does not itself write or fill: that
    counts the calls, or keeps a record of them.
    """
    code = function.__code__
    steps = [list(dis.get_instructions(part)) for part in _nested(code)]
    filled = {name for part in steps for name in _names_filled(part)}
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    held = {name: cell.cell_contents for name, cell in cells if name not in filled and cell != CellType()}
    used = {step.argval for part in steps for step in part if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    known = sorted((used - filled) & function.__globals__.keys())
    read = {name: value for name in known if _counts(value := function.__globals__[name])}
    return [_compiled(code), held, function.__defaults__, function.__kwdefaults__, read]


def parts_of_class(cls: type) -> list[Any]:
    """Bases of a class, and its own functions and attributes by name.

    Of names such as ``__call__`` count functions only: others are written by Python and by libraries.
    """
    own = {name: _functions_of(item) for name, item in sorted(vars(cls).items()) if name not in WRITTEN_BY_PYTHON}
    kept = {name: item for name, item in own.items() if _is_function(item) or not name.startswith("__")}
    return [cls.__bases__, kept]


def _compiled(code: CodeType) -> list[Any]:
    """Instructions, constants and names of a function, and so of those that are made in it."""
    constants = [_compiled(item) if isinstance(item, CodeType) else item for item in code.co_consts]
    arguments = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    return [code.co_code, getattr(code, "co_exceptiontable", b""), arguments, names, constants]


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield from _nested(item)


def _names_filled(steps: list[dis.Instruction]) -> Iterator[str]:
    """Names outside of a function that it writes, or whose list, set or dict it fills: ``calls.append(1)``."""
    padded = [*steps, steps[-1], steps[-1]]
    for step, next_one, after_next in zip(steps, padded[1:], padded[2:], strict=False):
        if step.opname in ("STORE_GLOBAL", "STORE_DEREF"):
            yield step.argval
        elif step.opname in ("LOAD_GLOBAL", "LOAD_DEREF"):
            fills = next_one.argval in FILLING and next_one.opname in ("LOAD_ATTR", "LOAD_METHOD")
            if fills or after_next.opname in ("STORE_SUBSCR", "COPY"):  # calls["n"] = 1, calls["n"] += 1
                yield step.argval


def _counts(value: Any) -> bool:
    if isinstance(value, (tuple, list, set, frozenset)):
        return all(map(_counts, value))
    if type(value) is dict:
        return all(map(_counts, value.values()))
    return isinstance(value, (*PLAIN, functools.partial)) or inspect.isclass(value) or inspect.isroutine(value)


def _is_function(item: Any) -> bool:
    return inspect.isfunction(item) or isinstance(item, _Functions)


def _functions_of(item: Any) -> Any:
    """An attribute of a class, with the functions of a property or of a method without a self in place of these."""
    if isinstance(item, (staticmethod, classmethod)):
        return _Functions((type(item).__name__, item.__func__))
    return _Functions(("property", item.fget, item.fset, item.fdel)) if isinstance(item, property) else item
