"""From the end of a run to the fitted attributes of the estimator."""

from __future__ import annotations

from typing import Any

import pandas as pd

from noisyflywheel.estimator.fitted.result import fitted_arrays
from noisyflywheel.estimator.job.fit_job import FitJob
from noisyflywheel.estimator.job.warm_start import kept_fit
from noisyflywheel.loop.closing import Closing
from noisyflywheel.loop.decisions.decide import Decision
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.run import FlywheelRun

PER_ROW = ("label_quality_", "clean_proba_", "refurbished_proba_", "_predicted", "_confidence")
"""Arrays with one entry a row, which go back to the caller's order."""


def publish(job: FitJob, run: FlywheelRun) -> None:
    """Close the loop by its last E-step, and set every fitted attribute of the estimator."""
    estimator, flywheel = job.estimator, run.flywheel
    n_folds = getattr(flywheel.aux.net.module_, "n_folds", 1) if flywheel.aux.scheduled else 1
    estimator._kept = kept_fit(run, job.data, job.params, n_folds) if estimator.warm_start else None
    _set_judgements(job, flywheel.close())
    _set_nets(estimator, flywheel)
    estimator.history_ = pd.DataFrame(run.history)
    estimator.n_iter_, estimator.n_warmup_epochs_ = len(run.history), run.n_warmup_epochs
    estimator.decisions_ = pd.DataFrame(flywheel.decisions, columns=list(Decision._fields))
    estimator._n_folds = n_folds


def _set_judgements(job: FitJob, end: Closing) -> None:
    """Labels, probabilities and matrices, rows in the caller's order."""
    estimator, data, position = job.estimator, job.data, job.trained.position
    estimator.classes_, estimator._given, estimator._index = data.classes, data.labels, data.row_names
    for name, value in fitted_arrays(end, job.trained.weights).items():
        is_moved = name in PER_ROW and position is not None
        setattr(estimator, name, value[position] if is_moved else value)
    estimator.refurbished_labels_ = data.classes[estimator.refurbished_proba_.argmax(1)]


def _set_nets(estimator: Any, flywheel: Flywheel) -> None:
    """Both nets, views, and what `predict` has to know of them."""
    estimator.main_net_ = flywheel.main.net
    vars(estimator).pop("aux_net_", None)
    if flywheel.settings.refurbish:
        estimator.aux_net_ = flywheel.aux.net
    estimator.views_, estimator._amp = flywheel.loader.views, flywheel.aux.amp
    estimator._default_nets = flywheel.aux.scheduled
