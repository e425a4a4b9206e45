"""One fit: from rows and labels to the fitted attributes of the estimator."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.estimator.assemble import assemble, choose_nets, first_row, sample_of
from noisyflywheel.estimator.callbacks import FitTask
from noisyflywheel.estimator.defaults import choose_n_folds
from noisyflywheel.estimator.inputs import read_labels, read_rows
from noisyflywheel.estimator.random_states import draw_seeds, isolated
from noisyflywheel.estimator.ranks import check_ranks
from noisyflywheel.estimator.result import fitted_arrays
from noisyflywheel.estimator.result_warnings import warn_of_result
from noisyflywheel.estimator.sample_weight import WeightedRows, check_sample_weight, weighted_rows
from noisyflywheel.loop.checkpoints import fit_checkpoints
from noisyflywheel.loop.decide import Decision
from noisyflywheel.loop.progress import FitProgress
from noisyflywheel.loop.run import FlywheelRun
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks
from noisyflywheel.nets.stopping import StopTraining, warn_of_stop_in_warm_up
from noisyflywheel.nets.threads import FEW_ROWS, at_most_threads
from noisyflywheel.persistence import data_fingerprint

PER_ROW = ("label_quality_", "clean_proba_", "refurbished_proba_", "_train_proba")


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
    return LabelledRows(rows, labels, classes, codes, check_sample_weight(sample_weight, codes), row_names)


def fit_flywheel(estimator: Any, data: LabelledRows, X: Any, y: Any, ranks: Ranks = ALONE) -> None:
    """Fit ``estimator`` in place; global random states are as before, also after an exception."""
    params = estimator.get_params(deep=False)
    seeds = ranks.of_first(partial(draw_seeds, estimator.random_state), "drawing seeds")
    trained = weighted_rows(data.rows, data.codes, data.weights)
    n_taking_part = len(trained.codes) if trained.weights is None else int((trained.weights > 0).sum())
    sample, given = sample_of(trained, first_row(data.rows))
    is_table = estimator.encoder_ is not None or estimator.input_features_ is not None
    folds = choose_n_folds(params, sample, n_taking_part, is_table, given)
    n_folds, decision = ranks.of_first(lambda: folds)  # near the bound, rounding may differ between machines
    nets = choose_nets(params, sample.ndim > 2, n_taking_part, n_folds, distributed=not ranks.alone)
    check_ranks(ranks, params, nets, trained)
    threads = 1 if nets.are_default and sample.ndim == 2 and n_taking_part <= FEW_ROWS else None
    earlier = earlier_fit(estimator, data)
    checkpointing = fit_checkpoints(params, data.fingerprint, seeds, len(earlier["history"]) if earlier else 0, ranks)
    with at_most_threads(threads), isolated(nets.devices), checkpointing as checkpoints:
        flywheel = assemble(params, nets, trained, len(data.classes), seeds, sample, ranks)
        flywheel.decisions.append(decision)
        shown = FitProgress(estimator.verbose if ranks.rank == 0 else 0, flywheel.settings.n_cycles)
        with closing(flywheel.loader.source), shown as progress:
            run = FlywheelRun(flywheel, progress, checkpoints, estimator.on_cycle, ranks)
            fit_in_run(estimator, run, data, trained, FitTask(estimator, flywheel.settings, X, y), earlier)


def fit_in_run(
    estimator: Any,
    run: FlywheelRun,
    data: LabelledRows,
    trained: WeightedRows,
    task: FitTask,
    earlier: dict[str, Any] | None,
) -> None:
    """Warm-up, or what ``earlier`` left, and cycles, then the fitted attributes; after Ctrl-C those so far."""
    try:
        for trainer in run.flywheel.trainers:
            trainer.begin()
        run.start(earlier)
        run.run_cycles(task)
        for trainer in run.flywheel.trainers:
            trainer.end()
    except StopTraining as stop:
        if not run.history:
            warn_of_stop_in_warm_up(stop)
            run.flywheel.start_cycles()
    except KeyboardInterrupt as error:
        run.ranks.leave(error)  # each rank has all there is
        if run.history:
            run.back_to_good()
            publish(estimator, run, data, trained)
        raise
    publish(estimator, run, data, trained)
    if estimator.guard and run.ranks.rank == 0:
        warn_of_result(
            estimator.transition_matrix_,
            estimator.clean_proba_,
            estimator.refurbished_proba_.argmax(1),
            data.codes,
            data.classes,
        )
    task.end()


def earlier_fit(estimator: Any, data: LabelledRows) -> dict[str, Any] | None:
    """The end of the last fit where ``warm_start`` asks to go on from it, else None.

    Raises
    ------
    ValueError
        If rows, labels or weights are not those of the last fit.
    """
    kept = getattr(estimator, "_kept", None)
    if not estimator.warm_start or kept is None:
        return None
    if kept["fingerprint"] != data.fingerprint():
        raise ValueError(
            "warm_start=True needs the rows, features, classes, labels and weights of the last fit; "
            "clone the estimator or set warm_start=False to fit on others."
        )
    return kept


def publish(estimator: Any, run: FlywheelRun, data: LabelledRows, trained: WeightedRows) -> None:
    """The closing E-step and every fitted attribute."""
    flywheel = run.flywheel
    estimator._kept = run.kept() | {"fingerprint": data.fingerprint()} if estimator.warm_start else None
    end = flywheel.close()
    estimator.classes_, estimator._given, estimator._index = data.classes, data.labels, data.row_names
    for name, value in fitted_arrays(end).items():
        moved = name in PER_ROW and trained.position is not None
        setattr(estimator, name, value[trained.position] if moved else value)
    estimator.refurbished_labels_ = data.classes[estimator.refurbished_proba_.argmax(1)]
    estimator.history_ = pd.DataFrame(run.history)
    estimator.n_iter_, estimator.n_warmup_epochs_ = len(run.history), run.n_warmup_epochs
    estimator.main_net_ = flywheel.main.net
    vars(estimator).pop("aux_net_", None)
    if flywheel.settings.refurbish:
        estimator.aux_net_ = flywheel.aux.net
    estimator.views_, estimator._amp = flywheel.loader.views, flywheel.aux.amp
    estimator._default_nets = flywheel.aux.scheduled
    estimator._n_folds = getattr(flywheel.aux.net.module_, "n_folds", 1) if flywheel.aux.scheduled else 1
    estimator.decisions_ = pd.DataFrame(flywheel.decisions, columns=list(Decision._fields))
