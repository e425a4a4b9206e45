"""Everything a skorch net carries from one epoch to the next, as nested plain values and tensors."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from noisyflywheel.nets.attributes import UNCHANGING, ChangedAttributes, is_nested_plain, is_own

OF_ONE_FIT = ("buffers", "own_callbacks")
"""Parts of `net_state` that a fit with other parameters, which goes on from this one, sets for itself."""


def net_state(net: NeuralNet) -> dict[str, Any]:
    """Weights, which of them are frozen, buffers, optimizers, history and callbacks of an initialised net.

    Of callbacks: fitted attributes (their name ends in ``_``) that are plain values, tensors, nested lists
    and dicts of them, or that have a ``state_dict`` (learning-rate schedules); of other attributes tensors, what
    holds some, and what has a ``state_dict`` (`own_attributes` has the plain ones).

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
        "buffers": {name: unsaved_buffers(module) for name, module in modules.items() if isinstance(module, nn.Module)},
        "callbacks": {name: _callback_state(callback) for name, callback in net.callbacks_},
        "own_callbacks": {name: _own_callback_state(callback, net) for name, callback in net.callbacks_},
        "on_device": {name: _on_device(callback) for name, callback in net.callbacks_},
    }


def restore_net(net: NeuralNet, state: dict[str, Any]) -> None:
    """Bring an initialised net of the same make to a state of `net_state`, which is copied.

    Raises
    ------
    KeyError, ValueError, RuntimeError
        If the state is of another module, optimizer or list of callbacks.
    """
    for name in _part_names(net):
        _check_groups(name, getattr(net, f"{name}_"), state["parts"][name])
        getattr(net, f"{name}_").load_state_dict(copy.deepcopy(state["parts"][name]))
    for name, frozen in state.get("frozen", {}).items():  # files of earlier versions have none
        for weight_name, weight in getattr(net, f"{name}_").named_parameters():
            weight.requires_grad_(weight_name not in frozen)
    for name, buffers in state.get("buffers", {}).items():
        put_buffers(getattr(net, f"{name}_"), buffers)
    net.history[:] = copy.deepcopy(state["history"])
    for name, callback in net.callbacks_:
        found = copy.deepcopy(state["callbacks"][name] | state.get("own_callbacks", {}).get(name, {}))
        for attribute in state.get("on_device", {}).get(name, []):
            if attribute in found:
                found[attribute] = _moved(found[attribute], torch.device(net.device))
        _restore_callback(callback, found)


def _check_groups(name: str, part: Any, state: dict[str, Any]) -> None:
    """Raise ValueError if an optimizer has another number of groups than its state, as of earlier versions."""
    groups, saved = getattr(part, "param_groups", []), state.get("param_groups", [])
    if len(groups) != len(saved):
        raise ValueError(
            f"the {name} had {len(saved)} groups of weights and has {len(groups)} now. In earlier versions the head of "
            f"the contrastive loss had one of its own: remove what they saved of this fit, and begin it anew"
        )


def own_attributes(net: NeuralNet) -> ChangedAttributes:
    """Plain attributes of the callbacks of an initialised net, and of modules of the user's own."""
    parts = [(name, getattr(net, f"{name}_")) for name in (*net._modules, *net._criteria)]
    named = [(name, part) for name, part in parts if isinstance(part, nn.Module)]
    modules = [(f"{name}.{path}", part) for name, whole in named for path, part in whole.named_modules()]
    callbacks = {f"callbacks.{name}": callback for name, callback in net.callbacks_}
    return ChangedAttributes(callbacks | {name: part for name, part in modules if is_own(part)})


def unsaved_buffers(module: nn.Module) -> dict[str, Tensor]:
    """Buffers that a module registered with ``persistent=False``, which its ``state_dict`` leaves out."""
    parts = [(path, part, getattr(part, "_non_persistent_buffers_set", ())) for path, part in module.named_modules()]
    named = [(f"{path}.{name}".lstrip("."), part._buffers[name]) for path, part, names in parts for name in names]
    return {name: buffer for name, buffer in sorted(named, key=lambda pair: pair[0]) if buffer is not None}


def put_buffers(module: nn.Module, buffers: dict[str, Tensor]) -> None:
    """Put back what `unsaved_buffers` returned, in place where size and type are the same."""
    for name, value in buffers.items():
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        present = owner._buffers.get(leaf)
        if present is not None and present.shape == value.shape and present.dtype == value.dtype:
            present.detach().copy_(value)
        else:
            place = next((weight.device for weight in module.parameters()), value.device)
            owner.register_buffer(leaf, value.detach().to(place, copy=True), persistent=False)


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
    return value if type(value) in UNCHANGING else copy.deepcopy(value)


def _part_names(net: NeuralNet) -> list[str]:
    """Names of modules, criteria and optimizers without the trailing underscore."""
    names = [*net._modules, *net._criteria, *net._optimizers]
    return [name for name in dict.fromkeys(names) if hasattr(getattr(net, f"{name}_", None), "state_dict")]


def _frozen(module: nn.Module) -> list[str]:
    return [name for name, weight in module.named_parameters() if not weight.requires_grad]


def _callback_state(callback: Any) -> dict[str, Any]:
    """Fitted attributes of a callback."""
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


def _own_callback_state(callback: Any, net: NeuralNet) -> dict[str, Any]:
    """Attributes of a callback that are no fitted ones, no parameters, and not plain: tensors, and what has a state."""
    given = inspect.signature(type(callback)).parameters
    parts = [getattr(net, f"{name}_") for name in _part_names(net)]
    state: dict[str, Any] = {}
    for name, value in vars(callback).items():
        if name.endswith("_") or name.startswith("_") or name in given or any(value is part for part in parts):
            continue
        if is_nested_plain(value) and not is_nested_plain(value, arrays=False):
            state[name] = value
        elif _has_state(value) and is_nested_plain(found := dict(value.state_dict())):
            state[name] = {"state_dict": found}
    return state


def _on_device(callback: Any) -> list[str]:
    """Attributes of a callback with tensors that do not lie on the CPU."""
    return [name for name, value in vars(callback).items() if is_nested_plain(value) and _is_elsewhere(value)]


def _is_elsewhere(value: Any) -> bool:
    if isinstance(value, (dict, list, tuple)):
        return any(map(_is_elsewhere, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Tensor) and not value.is_cpu


def _moved(value: Any, device: torch.device) -> Any:
    """Nested values whose tensors lie on a device."""
    if isinstance(value, dict):
        return {key: _moved(item, device) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_moved(item, device) for item in value)
    return value.to(device) if isinstance(value, Tensor) else value


def _restore_callback(callback: Any, state: dict[str, Any]) -> None:
    for name, value in state.items():
        present: Any = getattr(callback, name, None)
        is_state = isinstance(value, dict) and value.keys() == {"state_dict"}
        if is_state and _has_state(present):
            present.load_state_dict(value["state_dict"])
        elif not is_state:  # else what it is the state of is yet to be made
            setattr(callback, name, value)


def _has_state(value: Any) -> bool:
    return not inspect.isclass(value) and hasattr(value, "state_dict") and hasattr(value, "load_state_dict")
