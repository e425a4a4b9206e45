"""One fit: from rows and labels to the fitted attributes of the estimator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pandas as pd

from noisyflywheel.estimator.assemble import assemble, choose_nets
from noisyflywheel.estimator.callbacks import FitTask
from noisyflywheel.estimator.fit_job import (
    FitJob,
    Form,
    LabelledRows,
    begun_again,
    choose_form,
    cycles_at_most,
    optimizers,
)
from noisyflywheel.estimator.random_states import isolated
from noisyflywheel.estimator.ranks import check_ranks
from noisyflywheel.estimator.result import fitted_arrays
from noisyflywheel.estimator.result_warnings import warn_of_result
from noisyflywheel.loop.checkpoints import fit_checkpoints
from noisyflywheel.loop.decide import Decision
from noisyflywheel.loop.guard import warn_of_turning
from noisyflywheel.loop.progress import FitProgress
from noisyflywheel.loop.run import FlywheelRun
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks
from noisyflywheel.nets.stopping import StopTraining, warn_of_stop_in_warm_up
from noisyflywheel.nets.threads import FEW_ROWS, at_most_threads

PER_ROW = ("label_quality_", "clean_proba_", "refurbished_proba_", "_predicted", "_confidence")


def fit_flywheel(estimator: Any, data: LabelledRows, X: Any, y: Any, ranks: Ranks = ALONE) -> None:
    """Fit ``estimator`` in place; global random states are as before, also after an exception."""
    job = FitJob.of(estimator, data, ranks)
    chosen = choose_form(job)
    form = ranks.of_first(lambda: chosen)  # near a bound, rounding may differ between machines
    task = FitTask(estimator, cycles_at_most(job, form), X, y)
    given_up = fit_in_form(job, form, task)
    if given_up and form.instead:
        fit_in_form(*begun_again(job, form.decision, form.instead, given_up), task)
    if estimator.guard and ranks.rank == 0:
        warn_of_result(
            estimator.transition_matrix_,
            estimator.clean_proba_,
            estimator.refurbished_proba_.argmax(1),
            data.codes,
            data.classes,
        )
    task.end()


@contextmanager
def unchanged_unless_fitted(estimator: Any) -> Iterator[None]:
    """Inside, what is learnt of the rows is set before anything is trained; an exception before `publish` undoes it."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        if vars(estimator).get("history_") is before.get("history_"):
            vars(estimator).clear()
            vars(estimator).update(before)
        raise


def fit_in_form(job: FitJob, form: Form, task: FitTask) -> str | None:
    """Fit in this form; returns why the fit is given up, if it is to begin again in another form."""
    params, sample, ranks = job.params, job.sample.x, job.ranks
    nets = choose_nets(params, sample.ndim > 2, job.n_taking_part, form.n_folds, distributed=not ranks.alone)
    check_ranks(ranks, params, nets, job.trained)
    threads = 1 if nets.are_default and sample.ndim == 2 and job.n_taking_part <= FEW_ROWS else None
    n_before = len(job.earlier["history"]) if job.earlier else 0
    checkpointing = fit_checkpoints(params, job.data.fingerprint, job.seeds, n_before, ranks)
    with at_most_threads(threads), isolated(nets.devices), checkpointing as checkpoints:
        flywheel = assemble(params, nets, job.trained, len(job.data.classes), job.seeds, sample, ranks)
        flywheel.decisions.append(form.decision)
        shown = FitProgress(params["verbose"] if ranks.rank == 0 else 0, flywheel.settings.n_cycles)
        with closing(flywheel.loader.source), shown as progress:
            run = FlywheelRun(flywheel, progress, checkpoints, params["on_cycle"], ranks)
            return fit_in_run(job, run, task, form.instead)


def fit_in_run(job: FitJob, run: FlywheelRun, task: FitTask, instead: int | None) -> str | None:
    """Warm-up, or what an earlier fit left, and cycles, then the fitted attributes; after Ctrl-C those so far.

    Where the guard gave up and there is another form ``instead``: nothing but the reason.
    """
    try:
        for trainer in run.flywheel.trainers:
            trainer.begin()
        run.start(job.earlier)
        run.run_cycles(task)
    except StopTraining as stop:
        end_training(run)
        if not run.history:
            warn_of_stop_in_warm_up(stop)
            run.flywheel.start_cycles()
    except KeyboardInterrupt as error:
        run.ranks.leave(error)  # each rank has all there is
        run.flywheel.loader.source.close()  # a terminal's Ctrl-C ends workers too; there will be others
        if run.history:
            run.back_to_good()
        try:
            end_training(run)
        finally:
            if run.history:
                publish(job, run)
        raise
    else:
        end_training(run)
    if run.given_up and instead:
        if job.ranks.rank == 0:
            warn_of_turning(f"{run.given_up}: begins again with {instead} folds", "See n_folds in decisions_")
        return run.given_up
    if run.given_up and job.ranks.rank == 0:
        warn_of_turning(f"{run.given_up}: stopped with the state before it")
    publish(job, run)
    return None


def end_training(run: FlywheelRun) -> None:
    """Tell the callbacks of nets that have trained that it is over; one that stops it then has nothing to stop."""
    for trainer in run.flywheel.trainers:
        if trainer.net.history:
            with suppress(StopTraining):
                trainer.end()


def publish(job: FitJob, run: FlywheelRun) -> None:
    """The closing E-step and every fitted attribute."""
    estimator, data, flywheel = job.estimator, job.data, run.flywheel
    n_folds = getattr(flywheel.aux.net.module_, "n_folds", 1) if flywheel.aux.scheduled else 1
    estimator._kept = None
    if estimator.warm_start:
        kept = {"fingerprint": data.fingerprint(), "n_folds": n_folds, "optimizers": optimizers(job.params)}
        estimator._kept = run.kept() | kept
    end = flywheel.close()
    estimator.classes_, estimator._given, estimator._index = data.classes, data.labels, data.row_names
    for name, value in fitted_arrays(end, job.trained.weights).items():
        moved = name in PER_ROW and job.trained.position is not None
        setattr(estimator, name, value[job.trained.position] if moved else value)
    estimator.refurbished_labels_ = data.classes[estimator.refurbished_proba_.argmax(1)]
    estimator.history_ = pd.DataFrame(run.history)
    estimator.n_iter_, estimator.n_warmup_epochs_ = len(run.history), run.n_warmup_epochs
    estimator.main_net_ = flywheel.main.net
    vars(estimator).pop("aux_net_", None)
    if flywheel.settings.refurbish:
        estimator.aux_net_ = flywheel.aux.net
    estimator.views_, estimator._amp = flywheel.loader.views, flywheel.aux.amp
    estimator._default_nets = flywheel.aux.scheduled
    estimator._n_folds = n_folds
    estimator.decisions_ = pd.DataFrame(flywheel.decisions, columns=list(Decision._fields))
