"""What a fitted estimator holds, as plain nested values; and a fitted estimator from them."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from skorch import NeuralNet
from torch import Tensor

from noisyflywheel.nets.netstate import is_nested_plain
from noisyflywheel.nets.prepare import default_net, prepare_net
from noisyflywheel.persistence.frames import (
    decode_array,
    decode_frame,
    decode_index,
    encode_array,
    encode_frame,
    encode_index,
)
from noisyflywheel.views import ImageViews, VectorViews
from noisyflywheel.views.adapter import ViewAdapter

VIEWS: dict[str, Any] = {"VectorViews": VectorViews, "ImageViews": ImageViews}
"""The view classes a file may name."""

NETS = ("main_net_", "aux_net_")
_SCALARS = (bool, int, float, str)
SKIPPED = ("views_", *NETS)
"""Fitted attributes that have a way of their own; others of no plain kind are left out if private."""


def fitted_state(estimator: Any) -> dict[str, Any]:
    """Fitted attributes, weights and views of an estimator, for `noisyflywheel.persistence.tree.flatten`.

    Raises
    ------
    TypeError
        If labels, index or a public attribute are of a kind that cannot be stored.
    """
    params = estimator.get_params(deep=False)
    attributes = {name: value for name, value in vars(estimator).items() if name not in params}
    return {
        "attributes": _encode_attributes(attributes),
        "nets": {name: _weights(attributes[name]) for name in NETS if name in attributes},
        "device": _device_type(estimator.main_net_),
        "views": _views_state(estimator.views_),
    }


def restore_fitted(estimator: Any, state: dict[str, Any], device: str) -> None:
    """Make ``estimator``, whose parameters are set, the fitted one of `fitted_state`, on ``device``.

    Raises
    ------
    KeyError, TypeError, ValueError, RuntimeError
        If the state does not belong to these nets and views.
    """
    for name, value in _decode_attributes(state["attributes"]).items():
        if not name.isidentifier() or hasattr(type(estimator), name):
            raise ValueError(f"{name!r} is no fitted attribute")
        setattr(estimator, name, value)
    estimator._amp = bool(estimator._amp) and torch.device(device).type == state["device"]
    estimator.views_ = _restore_views(estimator.views, state["views"])
    with torch.random.fork_rng(devices=[]):
        for name, weights in state["nets"].items():
            if name not in NETS:
                raise ValueError(f"{name!r} is no net")
            net = _initialised(estimator, name, device)
            _load_weights(net, weights)
            setattr(estimator, name, net)


def _encode_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in SKIPPED:
            continue
        if isinstance(value, pd.DataFrame):
            encoded[name] = {"frame": encode_frame(value)}
        elif isinstance(value, pd.Index):
            encoded[name] = {"index": encode_index(value)}
        elif isinstance(value, np.ndarray):
            encoded[name] = {"array": encode_array(value, name)}
        elif is_nested_plain(value):
            encoded[name] = {"value": value}
        elif not name.startswith("_"):
            raise TypeError(f"{name} is a {type(value).__name__}, which cannot be stored")
    return encoded


def _decode_attributes(encoded: dict[str, Any]) -> dict[str, Any]:
    decoders = {"frame": decode_frame, "index": decode_index, "array": decode_array, "value": lambda v: v}
    decoded = {}
    for name, value in encoded.items():
        ((kind, content),) = value.items()
        decoded[name] = decoders[kind](content)
    return decoded


def _weights(net: NeuralNet) -> dict[str, Any]:
    """Weights of a net's modules and criteria, and its history."""
    parts = {name: getattr(net, f"{name}_").state_dict() for name in (*net._modules, *net._criteria)}
    return {"parts": parts, "history": [dict(row) for row in net.history]}


def _load_weights(net: NeuralNet, state: dict[str, Any]) -> None:
    for name in (*net._modules, *net._criteria):
        weights = {key: torch.as_tensor(value) for key, value in state["parts"][name].items()}
        getattr(net, f"{name}_").load_state_dict(weights)
    net.history[:] = state["history"]
    net._set_training(False)


def _initialised(estimator: Any, name: str, device: str) -> NeuralNet:
    """The net for ``main_net_`` or ``aux_net_`` as fit would make it, with weights yet to be loaded."""
    main, aux = estimator.main_net, estimator.aux_net
    first, second = (main, aux) if name == "main_net_" else (aux, main)
    net = first if first is not None else second
    shape = tuple(estimator.views_.row_shape)
    image = len(shape) > 1
    if net is None:
        net = default_net(image, len(estimator._given), device, auxiliary=name == "aux_net_")
    widths = {"n_features": math.prod(shape), "n_classes": len(estimator.classes_)}
    if image:
        widths["in_channels"] = shape[0]
    return prepare_net(net, widths, device, image)


def _views_state(adapter: ViewAdapter) -> dict[str, Any]:
    """Class name, parameters and fitted attributes of the views, tensors on the CPU."""
    views = adapter.views
    own = {name: value for name, value in vars(adapter).items() if name != "views"}
    if views is None:
        return {"class": None, "adapter": own}
    params = views.get_params(deep=False) if hasattr(views, "get_params") else {}
    fitted = {name: value for name, value in vars(views).items() if name.endswith("_") and name not in params}
    plain = {name: value for name, value in fitted.items() if isinstance(value, (Tensor, bool, int, float, str))}
    kind = type(views).__name__ if VIEWS.get(type(views).__name__) is type(views) else "given"
    known = dict(params) if kind != "given" else {}
    return {"class": kind, "params": known, "fitted": plain, "adapter": own}


def _restore_views(given: Any, state: dict[str, Any]) -> ViewAdapter:
    """An adapter as fit left it; classes come from `VIEWS` or the caller."""
    adapter = ViewAdapter.__new__(ViewAdapter)
    for name, value in state["adapter"].items():
        if hasattr(ViewAdapter, name):
            raise ValueError(f"{name!r} is no attribute of views")
        setattr(adapter, name, value)
    if state["class"] is None:
        adapter.views = None
        return adapter
    adapter.views = clone(given, safe=False) if state["class"] == "given" else VIEWS[state["class"]](**state["params"])
    for name, value in state["fitted"].items():
        if not name.endswith("_") or hasattr(type(adapter.views), name):
            raise ValueError(f"{name!r} is no fitted attribute of views")
        setattr(adapter.views, name, torch.as_tensor(value) if isinstance(value, np.ndarray) else value)
    return adapter


def portable_views(adapter: ViewAdapter) -> ViewAdapter:
    """A copy whose tensors lie on the CPU, so that a pickle loads where there is no CUDA device."""
    moved = copy.copy(adapter)
    if adapter.views is not None and hasattr(adapter.views, "__dict__"):
        moved.views = copy.copy(adapter.views)
        for name, value in vars(moved.views).items():
            if isinstance(value, Tensor):
                setattr(moved.views, name, value.cpu())
    return moved


def _device_type(net: NeuralNet) -> str:
    parameter = next(net.module_.parameters(), None)
    return "cpu" if parameter is None else parameter.device.type
