"""Whether the processes that share a fit were given the same X, y and parameters."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from skorch import NeuralNet
from torch import Tensor

from noisyflywheel.data import ArraySource, opened
from noisyflywheel.estimator.inputs.rows import make_source
from noisyflywheel.estimator.inputs.sample_weight import WeightedRows
from noisyflywheel.estimator.job.assemble import Nets
from noisyflywheel.estimator.job.warm_start import end_fingerprint, hashes_of_nets
from noisyflywheel.nets.parallel.ranks import Ranks
from noisyflywheel.nets.workers import options_of_sample

COMPARED, COMPARED_READ = 1_000, 100
"""How many rows are compared, evenly spaced: of rows in memory, and of rows that have to be read from elsewhere."""

OWN = ("main_net", "aux_net", "views", "on_cycle", "device", "verbose", "checkpoint_dir", "random_state", "distributed")
"""Parameters that ranks may have of their own, or that cannot be compared; seeds are those of rank 0."""


TRAINING = ("lr", "optimizer", "criterion")
"""Parts of the caller's nets that ranks have in common; weights may differ at first, and callbacks that only watch."""

NUMBERS = (type(None), bool, int, float)
"""Types of parameters of modules and views that are compared; text may name a device or folder of a rank's own."""


def check_ranks(
    ranks: Ranks,
    params: dict[str, Any],
    nets: Nets,
    data: WeightedRows,
    classes: NDArray[Any],
    earlier: dict[str, Any] | None = None,
) -> None:
    """Raise ValueError on every rank if ranks differ in X, y, parameters or the fit that ``warm_start`` goes on from.

    Also where there are fewer rows than ranks.
    """
    if ranks.alone:
        return
    compared: dict[str, Any] = {name: repr(value) for name, value in params.items() if name not in OWN}
    compared |= {"batch_size of main_net": nets.main.batch_size, "batch_size of aux_net": nets.aux.batch_size}
    compared |= {"n_folds": nets.n_folds, "sample_weight": joblib.hash(data.weights)}
    labels = joblib.hash([data.codes, classes.dtype.kind, classes.tolist()])
    compared |= hashes_of_nets(params, TRAINING) | {"views": kind_of_views(params["views"])}
    compared |= parts_of_module("main_net", nets.main) | parts_of_module("aux_net", nets.aux)
    compared |= {"the fit that warm_start goes on from": earlier and end_fingerprint(earlier)}
    of_rows = digest(data.rows, options_of_sample(nets.main, nets.aux))
    ranks.check_same(X=of_rows, y=labels, **compared)
    if len(data.codes) < ranks.size:
        raise ValueError(f"{len(data.codes)} rows are too few for {ranks.size} ranks: each needs one of its own.")


def kind_of_views(views: Any) -> str:
    """What views have in common in every process: None, a word, or their class with its parameters that are numbers."""
    if views is None or isinstance(views, str):
        return repr(views)
    params = views.get_params(deep=False) if isinstance(views, BaseEstimator) else {}
    return f"{type(views).__qualname__} {numbers(params)}"


def parts_of_module(name: str, net: NeuralNet) -> dict[str, str]:
    """The module of the net called ``name`` by the name of its class or factory, and numbers among its parameters."""
    kind = getattr(net.module, "__qualname__", type(net.module).__qualname__)
    own = {key: value for key, value in net.get_params(deep=False).items() if key.startswith("module__")}
    return {f"{name}__module": kind} | {f"{name}__{key}": value for key, value in numbers(own).items()}


def numbers(params: dict[str, Any]) -> dict[str, str]:
    """Those of the parameters that are numbers, truth values or None."""
    return {name: repr(value) for name, value in sorted(params.items()) if isinstance(value, NUMBERS)}


def digest(rows: Any, options: dict[str, Any]) -> str:
    """Hash of the number of rows, their shape and type, and of some, read with ``options`` of `options_of_sample`."""
    with opened(make_source(rows, torch.device("cpu"), options)) as source:
        most = COMPARED if isinstance(source, ArraySource) else COMPARED_READ
        index = np.unique(np.linspace(0, len(source) - 1, min(most, len(source))).astype(np.int64))
        taken: Tensor = next(iter(source.stream([torch.from_numpy(index)])))
    return joblib.hash([len(source), str(taken.dtype), taken.contiguous().numpy()])
