"""What a fitted estimator holds, as nested values; and a fitted estimator from them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from skorch import NeuralNet
from torch import Tensor

from noisyflywheel.nets.prepare import default_net, prepare_net
from noisyflywheel.persistence.values import encode
from noisyflywheel.views import ImageViews, VectorViews
from noisyflywheel.views.adapter import ViewAdapter

VIEWS: dict[str, Any] = {"VectorViews": VectorViews, "ImageViews": ImageViews}
"""The view classes a file may name."""

GIVEN = "given by the caller"
"""Stands in a file for a net or views object of the user's own."""

NETS = ("main_net_", "aux_net_")


WIDTHS = ("n_features", "n_classes", "in_channels", "n_encoded")
"""Parameters of a module that a fit fills in."""


def fitted_state(estimator: Any) -> dict[str, Any]:
    """Fitted attributes, weights and views of an estimator, for `noisyflywheel.persistence.values.encode`.

    Private attributes of a kind that cannot be stored are left out.
    """
    names = vars(estimator).keys() - estimator.get_params(deep=False) - {"views_", *NETS}
    attributes = {name: vars(estimator)[name] for name in sorted(names)}
    device = next((p.device.type for p in estimator.main_net_.module_.parameters()), "cpu")
    return {
        "attributes": {name: v for name, v in attributes.items() if not name.startswith("_") or _can_be_stored(v)},
        "nets": {name: _net_state(getattr(estimator, name)) for name in NETS if hasattr(estimator, name)},
        "device": device,
        "views": _views_state(estimator.views_),
    }


def restore_fitted(estimator: Any, state: dict[str, Any], device: str) -> None:
    """Make ``estimator``, whose parameters are set, the fitted one of `fitted_state`, on ``device``.

    Raises
    ------
    AttributeError, KeyError, TypeError, ValueError, RuntimeError
        If the state does not belong to these nets and views.
    """
    _set_attributes(estimator, state["attributes"])
    estimator._amp = bool(estimator._amp) and torch.device(device).type == state["device"]
    estimator.views_ = _restore_views(estimator.views, state["views"])
    with torch.random.fork_rng(devices=[]):
        nets = {name: _restore_net(estimator, name, weights, device) for name, weights in state["nets"].items()}
    _set_attributes(estimator, nets)


def describe_views(views: Any) -> Any:
    """A views object as plain values: class and parameters of ours, the class's name of the user's."""
    if views is None or isinstance(views, str):
        return views
    name = type(views).__name__
    if VIEWS.get(name) is not type(views):
        return {GIVEN: name}
    return {"class": name, "params": views.get_params(deep=False)}


def make_views(described: Any, given: Any) -> Any:
    """The views object of `describe_views`; ``given`` where it is the user's own."""
    if not isinstance(described, dict):
        return described
    return given if GIVEN in described else VIEWS[described["class"]](**described["params"])


def on_cpu(value: Any) -> Any:
    """A copy of nested dicts, lists, tuples and views whose tensors lie on the CPU; anything else as it is."""
    if isinstance(value, Tensor):
        return value.cpu()
    if isinstance(value, dict):
        return {key: on_cpu(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(on_cpu, value))
    if isinstance(value, ViewAdapter):
        value = copy.copy(value)
        value.views = copy.copy(value.views)
        attributes = getattr(value.views, "__dict__", {})
        attributes.update(on_cpu(attributes))
    return value


def _can_be_stored(value: Any) -> bool:
    try:
        encode(value)
    except TypeError:
        return False
    return True


def _set_attributes(target: Any, values: dict[str, Any]) -> None:
    """Set attributes, none of which the class has."""
    for name, value in values.items():
        if not name.isidentifier() or hasattr(type(target), name):
            raise ValueError(f"{name!r} is no fitted attribute of {type(target).__name__}")
        setattr(target, name, value)


def _net_state(net: NeuralNet) -> dict[str, Any]:
    """Weights of a net's modules and criteria, and its history."""
    parts = {name: getattr(net, f"{name}_").state_dict() for name in (*net._modules, *net._criteria)}
    params = net.get_params(deep=False)
    widths = {name: int(params[f"module__{name}"]) for name in WIDTHS if f"module__{name}" in params}
    return {"parts": parts, "history": [dict(row) for row in net.history], "widths": widths}


def _restore_net(estimator: Any, name: str, state: dict[str, Any], device: str) -> NeuralNet:
    """The net for ``main_net_`` or ``aux_net_`` as fit would make it, with the weights of `_net_state`."""
    main, aux = estimator.main_net, estimator.aux_net
    first, second = (main, aux) if name == "main_net_" else (aux, main)
    net = first if first is not None else second
    shape = tuple(estimator.views_.row_shape)
    image = len(shape) > 1
    if net is None:
        net = default_net(
            image, len(estimator._given), device, auxiliary=name == "aux_net_", n_folds=estimator._n_folds
        )
    if np.ndim(estimator.classes_) != 1 or state["widths"].get("n_classes") not in (None, len(estimator.classes_)):
        raise ValueError("classes_ are not those of the nets")
    net = prepare_net(net, state["widths"], device, image)
    for part in (*net._modules, *net._criteria):
        getattr(net, f"{part}_").load_state_dict(state["parts"][part])
    net.history[:] = state["history"]
    net._set_training(False)
    return net


def _views_state(adapter: ViewAdapter) -> dict[str, Any]:
    """The views, their fitted attributes and those of their adapter."""
    views = adapter.views
    fitted = {name: v for name, v in getattr(views, "__dict__", {}).items() if name.endswith("_") and _can_be_stored(v)}
    own = {name: value for name, value in vars(adapter).items() if name != "views"}
    return {"views": describe_views(views), "fitted": fitted, "adapter": own}


def _restore_views(given: Any, state: dict[str, Any]) -> ViewAdapter:
    """An adapter as fit left it."""
    adapter = ViewAdapter.__new__(ViewAdapter)
    _set_attributes(adapter, state["adapter"])
    adapter.views = make_views(state["views"], clone(given, safe=False))
    if adapter.views is not None:
        _set_attributes(adapter.views, state["fitted"])
    return adapter
