"""One fold of an audit by cross-validation: a model fitted on some rows predicts the others."""

from __future__ import annotations

import io
import zipfile
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from noisyflywheel.audit.scores.learners import check_predicts, checked_probabilities, last_step
from noisyflywheel.data import Source
from noisyflywheel.estimator.inputs.rows import make_source, read_rows
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.loader import predict_plain
from noisyflywheel.persistence.contents import described, keeps_its_fit
from noisyflywheel.persistence.whole import replace_file

Array = NDArray[np.float64]
Fold = tuple[Array, Array | None]


class CycleMean:
    """Callback for ``FlywheelClassifier(on_cycle=...)``: how other rows are predicted over a whole fit.

    The mean over the cycles and both nets: each of them alone is surer than it should be, and what a label looks like
    early, before its wrong neighbours are learnt or refurbished, tells about it too. The training is not touched: no
    random number is drawn.

    Parameters
    ----------
    model : FlywheelClassifier, or Pipeline that ends in one
        The model that is about to be fitted; a pipeline's other steps are applied to the rows.
    X : rows as ``model.predict`` takes them
    """

    def __init__(self, model: Any, X: Any) -> None:
        self.model, self.X = model, X
        self.inner = last_step(model).on_cycle
        self.total, self.n = torch.zeros(()), 0
        self._flywheel: Flywheel | None = None
        self._source: Source | None = None

    def __call__(self, flywheel: Flywheel, row: dict[str, float]) -> dict[str, float] | None:
        """Predict after one cycle; returns what the caller's own ``on_cycle`` returns.

        A fit that begins again, with another flywheel, is counted from there.
        """
        if flywheel is not self._flywheel:
            self._flywheel, self.total, self.n = flywheel, torch.zeros(()), 0
        if self._source is None:
            first = isinstance(self.model, Pipeline) and len(self.model) > 1
            rows = read_rows(last_step(self.model), self.model[:-1].transform(self.X) if first else self.X, reset=False)
            trained_on = flywheel.loader.source
            self._source = make_source(rows, trained_on.device, getattr(trained_on, "options", None))
        for trainer in flywheel.trainers:
            log_p = predict_plain(trainer, self._source, flywheel.loader.plain)
            self.total = self.total + log_p.double().exp().cpu()
            self.n += 1
        return self.inner(flywheel, row) if self.inner is not None else None

    def close(self) -> None:
        """Let go of what reads the rows."""
        if self._source is not None:
            self._source.close()

    @property
    def proba(self) -> Array:
        """The mean (m, K); rows sum to 1."""
        return np.asarray(self.total / self.total.sum(1, keepdim=True))


def fit_weighted(model: Any, X: Any, y: NDArray[Any], weights: NDArray[np.float64] | None) -> None:
    """`fit` of a model; weights are for the last step of a pipeline, whether scikit-learn routes metadata or not.

    A model of models that asks for weights gets them by routing, another one as without it.
    """
    if weights is None:
        model.fit(X, y)
        return
    name = "sample_weight"
    if isinstance(model, Pipeline):
        name = f"{model.steps[-1][0]}__sample_weight"
    else:
        with suppress(UnsetMetadataPassedError, NotImplementedError):  # the second where a model cannot route yet
            model.fit(X, y, sample_weight=weights)
            return
    with config_context(enable_metadata_routing=False):
        model.fit(X, y, **{name: weights})


def aligned(proba: Array, seen: NDArray[Any], classes: NDArray[Any]) -> Array:
    """Probabilities (m, K) with zero columns for the classes that a fold's model never saw."""
    full = np.zeros((proba.shape[0], classes.size))
    full[:, np.searchsorted(classes, seen)] = proba
    return full


def judge_fold(
    estimator: Any,
    X: Any,
    y: NDArray[Any],
    classes: NDArray[Any],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    sample_weight: NDArray[np.float64] | None = None,
) -> Fold:
    """Probabilities (m, K) of the rows ``test`` by a clone fitted on ``train``, and its T (None if it has none).

    A flywheel predicts by its mean over the cycles; not so with ``checkpoint_dir``, where a fit that goes on after a
    stop has not seen the first cycles.
    """
    model = clone(estimator)
    held, last = _safe_indexing(X, test), last_step(model)
    mean = None
    if getattr(last, "checkpoint_dir", "") is None and hasattr(last, "on_cycle"):
        mean = CycleMean(model, held)
        last.set_params(on_cycle=mean)
    weights = None if sample_weight is None else sample_weight[train]
    with nullcontext() if mean is None else closing(mean):
        _fit(model, _safe_indexing(X, train), y[train], weights)
    last = last_step(model)
    proba = mean.proba if mean is not None and mean.n else _predicted(model, held, test)
    if not hasattr(last, "transition_matrix_"):
        return aligned(proba, model.classes_, classes), None
    at = np.searchsorted(classes, last.classes_)
    T = np.eye(classes.size)
    T[np.ix_(at, at)] = last.transition_matrix_
    return aligned(proba, model.classes_, classes), T


def _predicted(model: Any, X: Any, rows: NDArray[np.intp]) -> Array:
    """`predict_proba` (m, K) of held-out rows X, which the data numbers as `rows` (m,), checked."""
    check_predicts(model)
    proba, shape = model.predict_proba(X), (rows.size, len(model.classes_))
    name = f"the predict_proba of {type(last_step(model)).__name__}"
    if np.shape(proba) != shape:
        raise ValueError(f"{name} must have shape {shape}, rows and classes of a fold; got {np.shape(proba)}")
    return checked_probabilities(proba, name, rows)


def _fit(model: Any, X: Any, y: NDArray[Any], weights: NDArray[np.float64] | None) -> None:
    """Fit the model of a fold; where its rows are of one class, and that is why it fails, the error says so."""
    try:
        fit_weighted(model, X, y, weights)
    except ValueError as error:
        if (y != y[0]).any():
            raise
        raise ValueError(
            f"every row that is not {y[:1].tolist()[0]!r} is held out by one fold, whose model has one class only to "
            "learn from: judge without cv and groups, or by folds that part these rows"
        ) from error


UNRELATED = ("on_cycle", "verbose", "checkpoint_dir")


def fold_key(estimator: Any, *data: Any) -> str:
    """Digest of a fold's model and data: equal ones give the same result."""
    last = last_step(estimator)
    steps = [*estimator.steps[:-1], type(last)] if last is not estimator else type(last)
    params = {name: value for name, value in last.get_params(deep=False).items() if name not in UNRELATED}
    model = [steps, last if keeps_its_fit(last) else params]
    return str(joblib.hash([described(model), *map(_described, data)]))


def _described(part: Any) -> Any:
    """What is hashed of the data: all there is, of tensors and what holds them without the places in memory."""
    if isinstance(part, np.ndarray | pd.DataFrame | pd.Series) or issparse(part):
        return part
    on_disk = hasattr(part, "__array__") and not isinstance(part, torch.Tensor)  # h5py, zarr
    return np.asarray(part) if on_disk else described(part)


def kept_fold(folder: Path | None, *parts: Any) -> Fold:
    """`judge_fold`, its result taken from and left in a folder, if there is one.

    A file that cannot be read is written anew.
    """
    if folder is None:
        return judge_fold(*parts)
    path = Path(folder) / f"fold-{fold_key(*parts)}.npz"
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as kept:
            return kept["proba"], kept["T"] if kept["T"].size else None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        pass
    proba, T = judge_fold(*parts)
    buffer = io.BytesIO()
    np.savez(buffer, proba=proba, T=np.empty(0) if T is None else T)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, buffer.getvalue())
    return proba, T
