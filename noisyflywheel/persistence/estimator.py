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

from noisyflywheel.exceptions import CheckpointError
from noisyflywheel.persistence.fitted import GIVEN, describe_views, fitted_state, make_views, on_cpu, restore_fitted
from noisyflywheel.persistence.store import load_checkpoint, pack, save_checkpoint, unpack

KIND = "estimator"
NETS = ("main_net", "aux_net")


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
            If labels, index or a parameter are of a kind that cannot be stored.
        """
        check_is_fitted(self)
        save_checkpoint(path, {"kind": KIND, "params": _plain_params(self), "fitted": fitted_state(self)})

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
        """A fitted estimator from `save`; nothing named in the file is imported or executed.

        Parameters
        ----------
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
            If the file is damaged, of another format, or does not belong to these nets and views.
        ValueError
            If a net or views object that the estimator was fitted with is not handed in.
        """
        state = load_checkpoint(path)
        if state.get("kind") != KIND:
            raise CheckpointError(path, "holds no saved estimator (a checkpoint of an unfinished fit?)")
        given = {"main_net": main_net, "aux_net": aux_net, "views": views}
        try:
            estimator = cls(**_fill_in(state["params"], given) | {"device": device})
            restore_fitted(estimator, state["fitted"], device)
        except _MissingError as missing:
            raise ValueError(f"{path}: {missing}") from None
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise CheckpointError(path, f"does not belong to this estimator ({error})") from error
        return estimator

    def __reduce_ex__(self, protocol: Any) -> Any:
        """For pickle, joblib and copy: the whole object, tensors outside the nets on the CPU."""
        state: Any = super().__getstate__()  # scikit-learn's: attributes and version
        return copyreg.__newobj__, (type(self),), on_cpu(dict(state))  # type: ignore[attr-defined]

    def __getstate__(self) -> dict[str, Any]:
        """For skops: parameters, and what was fitted as the bytes of a file of ours."""
        params = self.get_params(deep=False)  # type: ignore[attr-defined]
        for name in NETS:
            if params[name] is not None:
                params[name] = {"class": type(params[name]), "params": params[name].get_params(deep=False)}
        fitted = np.frombuffer(b"".join(pack(fitted_state(self))), np.uint8) if hasattr(self, "views_") else None
        return {"plain": True, "params": params, "fitted": fitted}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """From pickle's or skops' state."""
        if not state.get("plain"):
            super().__setstate__(state)  # type: ignore[misc]
            return
        params = dict(state["params"])
        for name in NETS:
            if params[name] is not None:
                params[name] = params[name]["class"](**params[name]["params"])
        vars(self).update(params)
        if state["fitted"] is not None:
            cuda = str(params["device"]).startswith("cuda") and torch.cuda.is_available()
            fitted = unpack(state["fitted"].tobytes(), "the state of a skops file")
            restore_fitted(self, fitted, str(params["device"]) if cuda else "cpu")


class _MissingError(Exception):
    """A net or views object that the caller has to hand in."""


def _plain_params(estimator: Any) -> dict[str, Any]:
    """Parameters as plain values; nets and foreign views are only named."""
    params = estimator.get_params(deep=False)
    nets = {name: {GIVEN: type(params[name]).__name__} for name in NETS if params[name] is not None}
    seed, folder = params["random_state"], params["checkpoint_dir"]
    return (
        params
        | nets
        | {
            "views": describe_views(params["views"]),
            "random_state": int(seed) if isinstance(seed, (int, np.integer)) else None,
            "on_cycle": None,
            "device": str(params["device"]),
            "checkpoint_dir": None if folder is None else str(Path(folder)),
        }
    )


def _fill_in(params: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Stored parameters with the caller's objects in their places."""
    params = dict(params)
    for name, value in given.items():
        stored = params[name]
        if value is None and isinstance(stored, dict) and GIVEN in stored:
            raise _MissingError(f"was fitted with {name} of class {stored[GIVEN]!r}: pass {name}= to load it")
        params[name] = make_views(stored, value) if value is None else value
    return params
