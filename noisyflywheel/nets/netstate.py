"""Everything a skorch net carries from one epoch to the next, as nested plain values and tensors."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
from skorch import NeuralNet
from torch import Tensor, nn

_UNCHANGING = (type(None), bool, int, float, str)
_PLAIN = (*_UNCHANGING, np.generic, np.ndarray, Tensor)


def net_state(net: NeuralNet) -> dict[str, Any]:
    """Weights, which of them are frozen, optimizers, history and callbacks of an initialised net.

    Of callbacks: fitted attributes (their name ends in ``_``) that are plain values, tensors, nested lists
    and dicts of them, or that have a ``state_dict`` (learning-rate schedules).

    Returns
    -------
    dict
        For `noisyflywheel.persistence.values.encode`; its tensors are those of the net, not copies.
    """
    modules = {name: getattr(net, f"{name}_") for name in (*net._modules, *net._criteria)}
    return {
        "parts": {name: getattr(net, f"{name}_").state_dict() for name in _part_names(net)},
        "frozen": {name: _frozen(module) for name, module in modules.items() if isinstance(module, nn.Module)},
        "history": [dict(row) for row in net.history],
        "callbacks": {name: _callback_state(callback) for name, callback in net.callbacks_},
    }


def restore_net(net: NeuralNet, state: dict[str, Any]) -> None:
    """Bring an initialised net of the same make to a state of `net_state`, which is copied.

    Raises
    ------
    KeyError, ValueError, RuntimeError
        If the state is of another module, optimizer or list of callbacks.
    """
    for name in _part_names(net):
        getattr(net, f"{name}_").load_state_dict(copy.deepcopy(state["parts"][name]))
    for name, frozen in state.get("frozen", {}).items():  # files of earlier versions have none
        for weight_name, weight in getattr(net, f"{name}_").named_parameters():
            weight.requires_grad_(weight_name not in frozen)
    net.history[:] = copy.deepcopy(state["history"])
    for name, callback in net.callbacks_:
        _restore_callback(callback, copy.deepcopy(state["callbacks"][name]))


def copied(value: Any) -> Any:
    """A copy of nested values as `net_state` returns them; faster than `copy.deepcopy` on many small tensors."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        new = copy.copy(value)  # of its own type, with the versions that a module's ``state_dict`` carries
        for key, item in value.items():
            new[key] = copied(item)
        return new
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value if type(value) in _UNCHANGING else copy.deepcopy(value)


def _part_names(net: NeuralNet) -> list[str]:
    """Names of modules, criteria and optimizers without the trailing underscore."""
    names = [*net._modules, *net._criteria, *net._optimizers]
    return [name for name in dict.fromkeys(names) if hasattr(getattr(net, f"{name}_", None), "state_dict")]


def _frozen(module: nn.Module) -> list[str]:
    return [name for name, weight in module.named_parameters() if not weight.requires_grad]


def _callback_state(callback: Any) -> dict[str, Any]:
    state = {}
    for name, value in vars(callback).items():
        if not name.endswith("_") or name.startswith("_"):
            continue
        if is_nested_plain(value):
            state[name] = value
        elif _has_state(value):
            plain = {key: item for key, item in value.state_dict().items() if is_nested_plain(item)}
            state[name] = {"state_dict": plain}
    return state


def _restore_callback(callback: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        present: Any = getattr(callback, name, None)
        if _has_state(present):
            present.load_state_dict(value["state_dict"])
        else:
            setattr(callback, name, value)


def _has_state(value: Any) -> bool:
    return not inspect.isclass(value) and hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def is_nested_plain(value: Any) -> bool:
    """Whether a value is plain, a tensor or an array, or a nested list, tuple or dict of them."""
    if isinstance(value, dict):
        return all(isinstance(key, (str, int)) and is_nested_plain(item) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return all(is_nested_plain(item) for item in value)
    return isinstance(value, _PLAIN)
