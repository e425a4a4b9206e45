"""What a fitted estimator holds, as nested values; and a fitted estimator from them."""

from __future__ import annotations

import copy
import inspect
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from skorch import NeuralNet
from torch import Tensor

from noisyflywheel.nets.criterion import reading_of
from noisyflywheel.nets.layout import is_channels_last, to_usual_order
from noisyflywheel.nets.netstate import put_buffers, unsaved_buffers
from noisyflywheel.nets.prepare import default_net, prepare_net
from noisyflywheel.views import ImageViews, VectorViews
from noisyflywheel.views.adapter import ViewAdapter

VIEWS: dict[str, Any] = {"VectorViews": VectorViews, "ImageViews": ImageViews}
"""The view classes a file may name."""

GIVEN = "given by the caller"
"""Stands in a file for a net or views object of the user's own."""

NETS = ("main_net", "aux_net")

PRIVATE = ("_amp", "_confidence", "_default_nets", "_given", "_index", "_kept", "_n_folds", "_predicted")
"""Private attributes of a fit; others are scikit-learn's."""

WIDTHS = ("n_features", "n_classes", "in_channels", "n_encoded")
"""Parameters of a module that a fit fills in."""


def parameters_of(estimator: Any) -> dict[str, Any]:
    """Parameters sorted by name, also those of `FlywheelClassifier` that a subclass sets and does not take itself."""
    made_by = [vars(cls)["__init__"] for cls in type(estimator).__mro__ if "__init__" in vars(cls)]
    names = {name for init in made_by for name in inspect.signature(init).parameters}
    found = {name: vars(estimator)[name] for name in names & vars(estimator).keys()} | estimator.get_params(deep=False)
    return dict(sorted(found.items()))


def fitted_state(estimator: Any) -> dict[str, Any]:
    """Fitted attributes, weights and views of an estimator, for `noisyflywheel.persistence.values.encode`.

    Raises TypeError after a fit that encoded the columns of a DataFrame.
    """
    if getattr(estimator, "encoder_", None) is not None:
        raise TypeError(
            "encoder_ is a TableEncoder, which cannot be stored: after a fit on a DataFrame with categories, texts or "
            "dates keep the classifier by pickle or joblib"
        )
    nets = [f"{name}_" for name in NETS if hasattr(estimator, f"{name}_")]
    names = vars(estimator).keys() - parameters_of(estimator).keys() - {"views_", *nets}
    kept = sorted(name for name in names if name in PRIVATE or not name.startswith("_"))
    return {
        "attributes": {name: vars(estimator)[name] for name in kept},
        "nets": {name: _net_state(getattr(estimator, name)) for name in nets},
        "device": next((p.device.type for p in estimator.main_net_.module_.parameters()), "cpu"),
        "views": _views_state(estimator.views_),
    }


def restore_fitted(estimator: Any, state: dict[str, Any], device: str) -> None:
    """Make ``estimator``, whose parameters are set, the fitted one of `fitted_state`, on ``device``.

    Raises a KeyError, TypeError, ValueError, RuntimeError or AttributeError if the state is of other nets or views.
    """
    _set_attributes(estimator, of_this_version(state["attributes"]))
    estimator._amp = bool(estimator._amp) and torch.device(device).type == state["device"]
    estimator.views_ = _restore_views(estimator.views, state["views"])
    with torch.random.fork_rng(devices=[]):
        nets = {name: _restore_net(estimator, name, weights, device) for name, weights in state["nets"].items()}
    _set_attributes(estimator, nets)


def of_this_version(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes of an estimator, where an earlier version kept f's whole prediction of the training rows."""
    if "_train_proba" not in attributes:
        return attributes
    new = dict(attributes)
    proba = new.pop("_train_proba")
    return new | {"_predicted": proba.argmax(1), "_confidence": proba.max(1).astype(np.float64)}


def describe(value: Any) -> Any:
    """A net or views parameter as plain values: class and parameters of our views, the class's name of the user's."""
    if value is None or isinstance(value, str):
        return value
    name = type(value).__name__
    return {"class": name, "params": value.get_params(deep=False)} if VIEWS.get(name) is type(value) else {GIVEN: name}


def make(described: Any, given: Any) -> Any:
    """What was given to `describe`; ``given`` where that was the user's own."""
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


def _set_attributes(target: Any, values: dict[str, Any]) -> None:
    """Set attributes; the class has none of them, or a value that stands for one before a fit."""
    for name, value in values.items():
        if not name.isidentifier() or (hasattr(type(target), name) and not _is_unfitted(type(target), name)):
            raise ValueError(f"{name!r} is no fitted attribute of {type(target).__name__}")
        setattr(target, name, value)


def _is_unfitted(owner: type, name: str) -> bool:
    """Whether a class's attribute is the value of a fitted one before a fit: named as one, no method or property."""
    value = inspect.getattr_static(owner, name, None)
    named = name.endswith("_") and not name.startswith("_")
    return named and not callable(value) and not hasattr(value, "__get__")


def _net_state(net: NeuralNet) -> dict[str, Any]:
    """Weights and buffers of a net's modules and criteria, its history, and how its output is read."""
    modules = {name: getattr(net, f"{name}_") for name in (*net._modules, *net._criteria)}
    parts = {name: module.state_dict() for name, module in modules.items()}
    buffers = {name: found for name, module in modules.items() if (found := unsaved_buffers(module))}
    params = net.get_params(deep=False)
    found = {name: params.get(f"module__{name}") for name in WIDTHS}  # a user's may be anything
    widths = {name: int(width) for name, width in found.items() if isinstance(width, Integral)}
    usual_order = not is_channels_last(net.module_)
    history = [dict(row) for row in net.history]
    weights: dict[str, Any] = {"parts": parts, "buffers": buffers, "history": history}
    return weights | {"widths": widths, "usual_order": usual_order, "reading": reading_of(net)}


def _restore_net(estimator: Any, name: str, state: dict[str, Any], device: str) -> NeuralNet:
    """The net for ``main_net_`` or ``aux_net_`` as fit would make it, with the weights of `_net_state`."""
    image, is_aux = len(estimator.views_.row_shape) > 1, name == "aux_net_"
    net = (estimator.aux_net if is_aux else estimator.main_net) or estimator.main_net or estimator.aux_net
    net = net or default_net(image, len(estimator._given), device, is_aux, estimator._n_folds)
    if np.ndim(estimator.classes_) != 1 or state["widths"].get("n_classes") not in (None, len(estimator.classes_)):
        raise ValueError("classes_ are not those of the nets")
    net = prepare_net(net, state["widths"], device, image)
    _check_reading(net, state.get("reading", {}), name.removesuffix("_"))
    if state.get("usual_order", False):
        to_usual_order(net.module_)
    for part in (*net._modules, *net._criteria):
        getattr(net, f"{part}_").load_state_dict(state["parts"][part])
        put_buffers(getattr(net, f"{part}_"), state.get("buffers", {}).get(part, {}))
    net.history[:] = state["history"]
    net._set_training(False)
    return net


def _check_reading(net: NeuralNet, fitted: dict[str, str], name: str) -> None:
    """Raise ValueError if the output of a net is read in another way than when it was saved: by names, if there are."""
    now = reading_of(net)
    changed = next((part for part in now if fitted.get(part, now[part]) != now[part]), None)
    if changed is not None:
        raise ValueError(f"{name} was fitted with {changed} {fitted[changed]}, and this one has {now[changed]}")


def _views_state(adapter: ViewAdapter) -> dict[str, Any]:
    """The views, their fitted attributes and those of their adapter."""
    own = dict(vars(adapter))
    views = own.pop("views")
    fitted = {name: value for name, value in getattr(views, "__dict__", {}).items() if name.endswith("_")}
    return {"views": describe(views), "fitted": fitted, "adapter": own}


def _restore_views(given: Any, state: dict[str, Any]) -> ViewAdapter:
    """An adapter as fit left it."""
    adapter = ViewAdapter.__new__(ViewAdapter)
    _set_attributes(adapter, state["adapter"])
    adapter.views = make(state["views"], clone(given, safe=False))
    if adapter.views is not None:
        _set_attributes(adapter.views, state["fitted"])
    return adapter
