"""Saving and loading fitted estimators: our own format, pickle, joblib and skops."""

from __future__ import annotations

import copyreg
import inspect
import os
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet

from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.nets.devices import device_to_load, float32_on_cpu
from noisyflywheel.persistence.fitted import (
    GIVEN,
    NETS,
    describe,
    fitted_state,
    make,
    of_this_version,
    on_cpu,
    parameters_of,
    restore_fitted,
)
from noisyflywheel.persistence.store import load_checkpoint, pack, save_checkpoint, unpack

KIND = "estimator"


class Persistent:
    """Saving and loading, for `FlywheelClassifier`."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator into the directory ``path``, in the format of checkpoints.

        Stored are the parameters, the fitted attributes and the weights of both nets. Of the user's own nets and
        views only weights and fitted values are stored, no code: `load` wants them handed in. A ``random_state``
        that is no int, and ``on_cycle``, become None.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        CheckpointError
            If ``path`` cannot be written.
        TypeError
            If labels, index, a parameter or a fitted value of the views is of a kind that cannot be stored.
        """
        check_is_fitted(self)
        save_checkpoint(path, {"kind": KIND, "params": _plain_params(self), "fitted": fitted_state(self)})

    @classmethod
    @float32_on_cpu()
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        main_net: NeuralNet | None = None,
        aux_net: NeuralNet | None = None,
        views: Any = None,
        device: str | None = None,
    ) -> Self:
        """A fitted estimator from `save`; nothing named in the file is imported or executed.

        Parameters
        ----------
        path : path-like
            The directory.
        main_net, aux_net, views : objects, optional
            Uninitialised nets, and views that are not the library's own, like those the estimator was fitted with.
        device : str, optional
            Where the nets go, and the parameter `device` of later fits; "auto" is CUDA where there is one. Without it
            the nets go to the CPU and the parameter stays as it was saved.

        Raises
        ------
        CheckpointError
            If the file is damaged, of another format, or does not belong to these nets and views.
        ValueError
            If a net or views object that the estimator was fitted with is not handed in, or the device is not there.
        """
        place = device_to_load("cpu" if device is None else device)
        state = load_checkpoint(path)
        params, given = state.get("params"), {"main_net": main_net, "aux_net": aux_net, "views": views}
        if state.get("kind") != KIND or not isinstance(params, dict) or not given.keys() <= params.keys():
            raise CheckpointError(path, "holds no saved estimator (a checkpoint of an unfinished fit?)")
        for name, value in given.items():
            if value is None and isinstance(params[name], dict) and GIVEN in params[name]:
                fitted_with = f"{name} of class {params[name][GIVEN]!r}"
                raise ValueError(f"{path}: was fitted with {fitted_with}: pass {name}= to load it")
        try:
            made = {name: make(params[name], None) if value is None else value for name, value in given.items()}
            estimator = _with_parameters(cls, params | made | ({} if device is None else {"device": device}))
            restore_fitted(estimator, state["fitted"], place)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise CheckpointError(path, f"does not belong to this estimator ({error})") from error
        return estimator

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For pickle, joblib and copy: the whole object, tensors outside the nets on the CPU."""
        state: Any = super().__getstate__()  # scikit-learn's: attributes and version
        return copyreg.__newobj__, (type(self),), on_cpu(dict(state))  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        """For skops: parameters, and what was fitted as the bytes of a file of ours."""
        params = parameters_of(self)
        nets = {name: params[name] for name in NETS if params[name] is not None}
        nets = {name: {"class": type(net), "params": net.get_params(deep=False)} for name, net in nets.items()}
        fitted = np.frombuffer(b"".join(pack(fitted_state(self))), np.uint8) if hasattr(self, "views_") else None
        return {"plain": True, "params": params | nets, "fitted": fitted}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From the state of a pickle or of skops; parameters that an earlier version did not have are the defaults."""
        known = inspect.signature(type(self)).parameters.values()
        vars(self).update({p.name: p.default for p in known if p.default is not p.empty})
        if not state.get("plain"):
            super().__setstate__(of_this_version(state))  # type: ignore[misc]
            return
        nets = {name: state["params"][name] for name in NETS if state["params"][name] is not None}
        vars(self).update(state["params"] | {name: net["class"](**net["params"]) for name, net in nets.items()})
        if state["fitted"] is not None:
            fitted = unpack(state["fitted"].tobytes(), "the state of a skops file")
            device = str(state["params"]["device"])
            cuda = device.startswith("cuda") and torch.cuda.is_available()
            restore_fitted(self, fitted, device if cuda else "cpu")


def _with_parameters(cls: Any, params: dict[str, Any]) -> Any:
    """An unfitted estimator with these parameters, also those that the class has but does not take itself."""
    estimator = cls(**{name: params[name] for name in cls._get_param_names() if name in params})
    foreign = sorted(params.keys() - parameters_of(estimator).keys())
    if foreign:
        raise TypeError(f"{cls.__name__} has no parameter {foreign[0]!r}")
    vars(estimator).update(params)
    return estimator


def _plain_params(estimator: Any) -> dict[str, Any]:
    """Parameters as plain values; nets and foreign views are only named."""
    params = parameters_of(estimator)
    seed, folder = params["random_state"], params["checkpoint_dir"]
    params |= {name: describe(params[name]) for name in (*NETS, "views")}
    return params | {
        "random_state": int(seed) if isinstance(seed, (int, np.integer)) else None,
        "on_cycle": None,
        "device": str(params["device"]),
        "checkpoint_dir": None if folder is None else os.fspath(folder),
    }
