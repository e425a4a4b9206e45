"""What a fit goes by: checked rows and labels, parameters and seeds; and the form that "auto" gives it."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.estimator.assemble import Sample, first_row, sample_of
from noisyflywheel.estimator.defaults import against_folds, choose_folds_instead, choose_n_folds, make_settings
from noisyflywheel.estimator.inputs import read_rows
from noisyflywheel.estimator.labels import check_same_index, read_labels
from noisyflywheel.estimator.random_states import draw_seeds
from noisyflywheel.estimator.sample_weight import WeightedRows, check_sample_weight, weighted_rows
from noisyflywheel.loop.decide import Decision
from noisyflywheel.loop.rounds import most_cycles
from noisyflywheel.nets.parallel.ranks import Ranks
from noisyflywheel.persistence import data_fingerprint, parameter_fingerprint


class LabelledRows(NamedTuple):
    """What a fit gets after the checks of `noisyflywheel.estimator.inputs`."""

    rows: Tensor | Dataset
    labels: NDArray[Any]
    """In the caller's type: (n,)."""
    classes: NDArray[Any]
    codes: NDArray[np.int64]
    """Labels as 0..K-1: (n,)."""
    weights: NDArray[np.float64] | None
    row_names: pd.Index | None
    """Of the caller's X or y."""

    def fingerprint(self) -> str:
        """Digest of rows, labels and weights."""
        codes = self.codes
        if self.weights is not None:
            codes = np.concatenate([codes, self.weights.view(np.int64)])
        return data_fingerprint(self.rows, codes, self.classes)


def labelled_rows(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LabelledRows:
    """What `FlywheelClassifier.fit` was given, checked; ``estimator`` learns what there is to know of X's columns."""
    if y is None:
        name = type(estimator).__name__
        raise ValueError(f"{name} requires y to be passed, but the target y is None: labels are what it audits.")
    rows = read_rows(estimator, X, reset=True)
    labels, classes, codes = read_labels(X if hasattr(X, "shape") or hasattr(X, "__len__") else rows, y)
    row_names = next((data.index for data in (X, y) if isinstance(data, (pd.DataFrame, pd.Series))), None)
    weights = check_sample_weight(sample_weight, codes)
    for name, paired in (("X", X), ("y", y)):
        check_same_index(paired, sample_weight, (name, "sample_weight"))
    return LabelledRows(rows, labels, classes, codes, weights, row_names)


class FitJob(NamedTuple):
    """What a fit goes by, whatever its form."""

    estimator: Any
    data: LabelledRows
    params: dict[str, Any]
    seeds: list[int]
    trained: WeightedRows
    n_taking_part: int
    sample: Sample
    earlier: dict[str, Any] | None
    """The end of the fit that this one goes on from."""
    ranks: Ranks

    @classmethod
    def of(cls, estimator: Any, data: LabelledRows, ranks: Ranks) -> FitJob:
        """What ``estimator`` would do with ``data``."""
        seeds = ranks.of_first(partial(draw_seeds, estimator.random_state), "drawing seeds")
        trained = weighted_rows(data.rows, data.codes, data.weights)
        n = len(trained.codes) if trained.weights is None else int((trained.weights > 0).sum())
        sample, earlier = sample_of(trained, first_row(data.rows)), earlier_fit(estimator, data)
        params = estimator.get_params(deep=False)
        return cls(estimator, data, params, seeds, trained, n, sample, earlier, ranks)


class Form(NamedTuple):
    """With how many folds the fit is done, and with how many it begins again if that turns against itself."""

    n_folds: int
    decision: Decision
    instead: int | None


def choose_form(job: FitJob) -> Form:
    """By parameters and data, or as in the fit that this one goes on from.

    Raises
    ------
    ValueError
        If parameters ask for another number of folds than that fit has.
    """
    params, n, n_classes = job.params, job.n_taking_part, len(job.data.classes)
    if params["n_folds"] == "auto" and job.earlier and "n_folds" in job.earlier and not against_folds(params):
        n_folds = job.earlier["n_folds"]
        return Form(n_folds, Decision("n_folds", str(n_folds), reason="as in the fit before"), None)
    is_table = job.estimator.encoder_ is not None or job.estimator.input_features_ is not None
    n_folds, decision = choose_n_folds(params, job.sample.x, n, is_table, job.sample.given)
    kept = n_folds if job.earlier is None else job.earlier.get("n_folds", n_folds)
    if kept != n_folds:
        raise ValueError(
            f"warm_start=True goes on with the nets of the last fit, which has n_folds={kept}, but the parameters ask "
            f"for {n_folds} ({decision.reason}): set n_folds={kept} or warm_start=False."
        )
    instead = None if job.earlier else choose_folds_instead(params, n_folds, job.sample.x, n, n_classes)
    return Form(n_folds, decision, instead)


def begun_again(job: FitJob, decision: Decision, n_folds: int, why: str) -> tuple[FitJob, Form]:
    """The same fit with folds, as if their number had been asked for."""
    reason = f"one net on all rows turned against itself: {why}"
    decision = decision._replace(chosen=str(n_folds), reason=reason)
    return job._replace(params=job.params | {"n_folds": n_folds}), Form(n_folds, decision, None)


def cycles_at_most(job: FitJob, form: Form) -> int:
    """Cycles of a fit that begins in this form, those of the other form included."""
    n = 0
    for n_folds in (form.n_folds, form.instead):
        if n_folds is not None:
            settings = make_settings(job.params, job.sample.x.ndim > 2, n_folds, len(job.trained.codes))
            n += most_cycles(settings.n_cycles, settings.n_rounds)
    return n


def earlier_fit(estimator: Any, data: LabelledRows) -> dict[str, Any] | None:
    """The end of the last fit where ``warm_start`` asks to go on from it, else None.

    Raises
    ------
    ValueError
        If rows, labels, weights or optimizers are not those of the last fit.
    """
    kept = getattr(estimator, "_kept", None)
    if not estimator.warm_start or kept is None:
        return None
    if kept["fingerprint"] != data.fingerprint():
        raise ValueError(
            "warm_start=True needs the rows, features, classes, labels and weights of the last fit; "
            "clone the estimator or set warm_start=False to fit on others."
        )
    now = optimizers(estimator.get_params(deep=False))
    before = kept.get("optimizers", now)
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if changed:
        raise ValueError(
            f"warm_start=True goes on with the optimizers of the last fit, but {changed[0]} is another now: "
            "set it back, or set warm_start=False to fit anew."
        )
    return kept


def optimizers(params: dict[str, Any]) -> dict[str, str]:
    """Hashes of what is set of the optimizers of the caller's nets, by the names of parameters."""
    nets = {name: params[name].get_params(deep=False) for name in ("main_net", "aux_net") if params[name] is not None}
    own = {f"{net}__{name}": value for net, all_params in nets.items() for name, value in all_params.items()}
    parts = ("lr", "optimizer")
    return {name: parameter_fingerprint({name: own[name]}) for name in own if name.split("__")[1] in parts}
