"""Saving and loading fitted estimators: our own format, pickle, joblib and skops."""

from __future__ import annotations

import copyreg
import os
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from noisyflywheel.data import on_host
from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.persistence.fitted import VIEWS, fitted_state, portable_views, restore_fitted
from noisyflywheel.persistence.store import load_checkpoint, save_checkpoint
from noisyflywheel.persistence.tree import Flat, flatten, unflatten

KIND = "estimator"
GIVEN = "given by the caller"
"""Stands in a file for a net or views object of the user's own."""


def save_estimator(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator into the directory ``path``, in the format of checkpoints.

    Stored are the parameters, the fitted attributes and the weights of both nets. Of the user's own nets and
    views only weights and fitted values are stored, no code: `load_estimator` wants them handed in. A
    ``random_state`` that is no int, and ``on_cycle``, become None.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    CheckpointError
        If ``path`` cannot be written.
    TypeError
        If labels, index or a parameter are of a kind that cannot be stored.
    """
    check_is_fitted(estimator)
    flat = flatten({"params": _plain_params(estimator), "fitted": fitted_state(estimator)})
    save_checkpoint(path, flat.tensors, flat.arrays, {"kind": KIND, "state": flat.tree})


def load_estimator(
    cls: Any,
    path: str | os.PathLike[str],
    main_net: NeuralNet | None = None,
    aux_net: NeuralNet | None = None,
    views: Any = None,
    device: str = "cpu",
) -> Any:
    """A fitted estimator from `save_estimator`; nothing named in the file is imported or executed.

    Parameters
    ----------
    cls : type
        `FlywheelClassifier` or a subclass.
    path : path-like
        The directory.
    main_net, aux_net : skorch NeuralNet, optional
        Uninitialised nets like those the estimator was fitted with, where it was.
    views : object, optional
        The same for a view object that is not the library's own.
    device : str, default="cpu"
        Where the nets go.

    Raises
    ------
    CheckpointError
        If the files are damaged, or do not belong to these nets and views.
    ValueError
        If a net or views object that the estimator was fitted with is not handed in.
    """
    loaded = load_checkpoint(path)
    if loaded.meta.get("kind") != KIND:
        raise CheckpointError(path, "holds no saved estimator (a checkpoint of an unfinished fit?)")
    state = unflatten(Flat(loaded.tensors, loaded.arrays, loaded.meta.get("state")), str(path))
    given = {"main_net": main_net, "aux_net": aux_net, "views": views}
    try:
        params = _fill_in(dict(state["params"]), given)
        estimator = cls(**params | {"device": device})
        restore_fitted(estimator, state["fitted"], device)
    except _Missing as missing:
        raise ValueError(f"{path}: {missing}") from None
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(path, f"does not belong to this estimator ({error})") from error
    return estimator


class _Missing(Exception):
    """A net or views object that the caller has to hand in."""


def _plain_params(estimator: Any) -> dict[str, Any]:
    """Parameters as plain values; nets and foreign views are only named."""
    params = _params(estimator)
    for name in ("main_net", "aux_net"):
        if params[name] is not None:
            params[name] = {GIVEN: type(params[name]).__name__}
    views = params["views"]
    if VIEWS.get(type(views).__name__) is type(views):
        params["views"] = {"class": type(views).__name__, "params": views.get_params(deep=False)}
    elif not (views is None or isinstance(views, str)):
        params["views"] = {GIVEN: type(views).__name__}
    seed = params["random_state"]
    params["random_state"] = int(seed) if isinstance(seed, (int, np.integer)) else None
    params["on_cycle"] = None
    params["device"] = str(params["device"])
    if params["checkpoint_dir"] is not None:
        params["checkpoint_dir"] = str(Path(params["checkpoint_dir"]))
    return params


def _fill_in(params: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Stored parameters with the caller's objects in their places."""
    for name, value in given.items():
        stored = params[name]
        if isinstance(stored, dict) and "class" in stored and value is None:
            params[name] = VIEWS[stored["class"]](**stored["params"])
        elif value is not None:
            params[name] = value
        elif isinstance(stored, dict):
            raise _Missing(f"was fitted with {name} of class {stored[GIVEN]!r}: pass {name}= to load it")
    return params


def _params(estimator: Any) -> dict[str, Any]:
    return estimator.get_params(deep=False)


class Persistent:
    """Saving and loading, for `FlywheelClassifier`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator into the directory ``path`` (see `save_estimator`)."""
        save_estimator(self, path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        main_net: NeuralNet | None = None,
        aux_net: NeuralNet | None = None,
        views: Any = None,
        device: str = "cpu",
    ) -> Self:
        """A fitted estimator from ``save``; nothing is unpickled or executed (see `load_estimator`)."""
        return load_estimator(cls, path, main_net, aux_net, views, device)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For pickle, joblib and copy: the whole object, views and what a warm start goes on from on the CPU."""
        state = dict(super().__getstate__())  # type: ignore[call-overload]
        if "views_" in state:
            state["views_"] = portable_views(state["views_"])
        if "_kept" in state:
            state["_kept"] = on_host(state["_kept"])
        return copyreg.__newobj__, (type(self),), state  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        """For skops: nested plain values, types and arrays, no tensors and no initialised nets."""
        params = _params(self)
        for name in ("main_net", "aux_net"):
            if params[name] is not None:
                net = params[name]
                params[name] = {"class": type(net), "params": net.get_params(deep=False)}
        fitted = _as_arrays(fitted_state(self)) if hasattr(self, "views_") else None
        return {"plain": True, "params": params, "fitted": fitted}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From pickle's or skops' state."""
        if not state.get("plain"):
            super().__setstate__(state)  # type: ignore[misc]
            return
        params = dict(state["params"])
        for name in ("main_net", "aux_net"):
            if params[name] is not None:
                params[name] = params[name]["class"](**params[name]["params"])
        vars(self).update(params)
        if state["fitted"] is not None:
            cuda = str(params["device"]).startswith("cuda") and torch.cuda.is_available()
            restore_fitted(self, _from_arrays(state["fitted"]), str(params["device"]) if cuda else "cpu")


def _as_arrays(fitted: dict[str, Any]) -> dict[str, Any]:
    """Nested values as a JSON tree and arrays (bfloat16 tensors as float32)."""
    flat = flatten(fitted)
    tensors = {}
    for name, tensor in flat.tensors.items():
        tensor = tensor.detach().cpu()
        tensors[name] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return {"tensors": tensors, "arrays": flat.arrays, "tree": flat.tree}


def _from_arrays(stored: dict[str, Any]) -> Any:
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in stored["tensors"].items()}
    return unflatten(Flat(tensors, stored["arrays"], stored["tree"]), "the state")
