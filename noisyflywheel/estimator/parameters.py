"""Parameters of `FlywheelClassifier` as data: what each may be, and the error if it is not."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_path(value: Any) -> bool:
    return value is None or isinstance(value, (str, os.PathLike))


def _is_device(value: Any) -> bool:
    """Whether torch knows a device of that name (it need not be there)."""
    try:
        return str(value) == "auto" or torch.device(value) is not None
    except RuntimeError:
        return False


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")


def _is_random_state(value: Any) -> bool:
    """Whether `sklearn.utils.check_random_state` takes it."""
    if isinstance(value, Integral):
        return 0 <= int(value) < 2**32
    return value is None or value is np.random or isinstance(value, np.random.RandomState)


_Check = tuple[str, Callable[[Any], bool], Callable[[Any], bool]]
"""What is allowed, whether the type is right, whether the value is."""


def _auto_or_int(least: int) -> _Check:
    return (
        f"'auto' or an int >= {least}",
        lambda v: _is_int(v) or isinstance(v, str),
        lambda v: v == "auto" or (_is_int(v) and v >= least),
    )


def _one_of(*names: str) -> _Check:
    return " or ".join(map(repr, names)), lambda v: isinstance(v, str), lambda v: v in names


_FLAG: _Check = ("True or False", _is_bool, lambda v: True)

_AUTO_OR_NUMBER: _Check = (
    "'auto' or a number >= 0",
    lambda v: _is_real(v) or isinstance(v, str),
    lambda v: v == "auto" or (_is_real(v) and 0 <= v < float("inf")),
)

_CHECKS: dict[str, _Check] = {
    "n_warmup_epochs": _auto_or_int(0),
    "n_cycles": _auto_or_int(1),
    "n_folds": _auto_or_int(1),
    "cycle_size": ("None or an int >= 2", lambda v: v is None or _is_int(v), lambda v: v is None or v >= 2),
    "cr_weight": ("a number >= 0", _is_real, lambda v: 0 <= v < float("inf")),
    "cr_ramp": _auto_or_int(0),
    "contrastive_weight": _AUTO_OR_NUMBER,
    "mixup_alpha": _AUTO_OR_NUMBER,
    "sharpen_temperature": ("a number in (0, 10]", _is_real, lambda v: 0 < v <= 10),
    "distribution_alignment": (
        "'auto' or a number in [0, 1]",
        lambda v: _is_real(v) or isinstance(v, str),
        lambda v: v == "auto" or (_is_real(v) and 0 <= v <= 1),
    ),
    "average_epochs": _AUTO_OR_NUMBER,
    "noise_model": _one_of("class", "uniform"),
    "resample": _one_of("posterior", "argmax"),
    "calibrate": (
        "'auto', True or False",
        lambda v: _is_bool(v) or isinstance(v, str),
        lambda v: v == "auto" or _is_bool(v),
    ),
    "guard": _FLAG,
    "refurbish": _FLAG,
    "feature_layer": ("'auto' or the name of a submodule", lambda v: isinstance(v, str), bool),
    "warm_start": _FLAG,
    "device": ("'auto' or a torch device", lambda v: isinstance(v, (str, torch.device)), _is_device),
    "distributed": (
        "'auto' or False",
        lambda v: _is_bool(v) or isinstance(v, str),
        lambda v: v == "auto" or (_is_bool(v) and not v),
    ),
    "checkpoint_dir": ("None or a path", _is_path, lambda v: v is None or bool(str(v))),
    "on_cycle": ("None or callable", lambda v: v is None or callable(v), lambda v: True),
    "verbose": ("an int >= 0 or a bool", lambda v: _is_int(v) or _is_bool(v), lambda v: v >= 0),
    "random_state": ("None, an int in [0, 2**32) or a numpy RandomState", lambda v: True, _is_random_state),
}


def check_parameters(params: dict[str, Any]) -> None:
    """Raise for the first parameter that is not what it may be.

    Parameters
    ----------
    params : dict
        Every parameter of `FlywheelClassifier` by name.

    Raises
    ------
    TypeError, ValueError
        For a wrong type and a wrong value; the message names the parameter.
    """
    for name, (allowed, right_type, right_value) in _CHECKS.items():
        value = params[name]
        if not right_type(value):
            raise TypeError(f"{name} must be {allowed}, got {value!r} of type {type(value).__name__}.")
        if not right_value(value):
            raise ValueError(f"{name} must be {allowed}, got {value!r}.")
    _check_views(params["views"])
    _check_device_is_there(params["device"])


def check_nested(estimator: Any, params: dict[str, Any]) -> None:
    """Raise ValueError for a name in ``params``, such as "main_net__lr", of a net or views that are not handed in."""
    for name in params:
        owner, _, inner = name.partition("__")
        if not inner or owner not in ("main_net", "aux_net", "views"):
            continue
        found = params.get(owner, getattr(estimator, owner))
        if found is None or isinstance(found, str):
            raise ValueError(f"{name} cannot be set: {owner} is {found!r}, hand in an object that has it.")


def _check_views(views: Any) -> None:
    if views is None or (isinstance(views, str) and views == "auto"):
        return
    allowed = "views must be 'auto', None or an object with weak(x) and strong(x)"
    if inspect.isclass(views):
        raise TypeError(f"{allowed}, got the class {views.__name__}: pass {views.__name__}().")
    if not (hasattr(views, "weak") and hasattr(views, "strong")):
        raise TypeError(f"{allowed}, got {views!r}.")


def _check_device_is_there(device: Any) -> None:
    if str(device) == "auto" or torch.device(device).type != "cuda":
        return
    index, there = torch.device(device).index or 0, torch.cuda.device_count()
    if index >= there:
        raise ValueError(f"device {str(device)!r} is not there: torch sees {there} CUDA device(s).")
