"""One fit, from what the caller gave to the fitted attributes: the order of its parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from noisyflywheel.data import opened
from noisyflywheel.estimator.callbacks import FitTask, with_callbacks
from noisyflywheel.estimator.fitted.publish import publish
from noisyflywheel.estimator.fitted.result_warnings import warn_of_result
from noisyflywheel.estimator.inputs.containers import check_container, is_dataset
from noisyflywheel.estimator.inputs.labelled_rows import labelled_rows
from noisyflywheel.estimator.inputs.labels import labels_of_dataset
from noisyflywheel.estimator.job.assemble import assemble, choose_nets
from noisyflywheel.estimator.job.fit_job import FitJob
from noisyflywheel.estimator.job.fold_plan import FoldPlan, begin_again, cycles_at_most, plan_folds
from noisyflywheel.estimator.job.random_states import isolated
from noisyflywheel.estimator.job.ranks import check_ranks
from noisyflywheel.estimator.parameters import check_parameters
from noisyflywheel.loop.run import FlywheelRun
from noisyflywheel.loop.watch.checkpoints import fit_checkpoints
from noisyflywheel.loop.watch.guard import warn_of_turning
from noisyflywheel.loop.watch.progress import FitProgress
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks
from noisyflywheel.nets.stopping import StopTraining, warn_of_early_stop
from noisyflywheel.nets.threads import FEW_ROWS, at_most_threads
from noisyflywheel.persistence.fitted import parameters_of


def fit_flywheel(estimator: Any, X: Any, y: Any, sample_weight: Any = None, ranks: Ranks = ALONE) -> None:
    """Fit ``estimator`` in place; arguments and errors as of `FlywheelClassifier.fit`.

    Global random states are as before, also after an exception.
    """
    check_parameters(parameters_of(estimator))
    check_container(X)
    with unchanged_unless_fitted(estimator):
        fit_under_callbacks(estimator, X, y, sample_weight, ranks)


@with_callbacks  # which ends callbacks by attributes of the estimator: before these are put back
def fit_under_callbacks(estimator: Any, X: Any, y: Any, sample_weight: Any, ranks: Ranks) -> None:
    """`fit_flywheel` with scikit-learn's callbacks, which hear of its end however it ends."""
    y = labels_of_dataset(X) if y is None and is_dataset(X) else y
    job = FitJob.of(estimator, labelled_rows(estimator, X, y, sample_weight), ranks)
    chosen = plan_folds(job)
    plan = ranks.of_first(lambda: chosen)  # near a bound, rounding may differ between machines
    task = FitTask(estimator, cycles_at_most(job, plan), X, y, sample_weight)
    given_up = fit_by_plan(job, plan, task)
    if given_up and plan.n_folds_instead:
        fit_by_plan(*begin_again(job, plan, plan.n_folds_instead, given_up), task)
    if estimator.guard and ranks.rank == 0:
        warn_of_fitted(job)
    task.end()


@contextmanager
def unchanged_unless_fitted(estimator: Any) -> Iterator[None]:
    """After an exception inside, ``estimator`` is as it was, unless `publish` had set the fitted attributes by then."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        if vars(estimator).get("history_") is before.get("history_"):
            vars(estimator).clear()
            vars(estimator).update(before)
        raise


def fit_by_plan(job: FitJob, plan: FoldPlan, task: FitTask) -> str | None:
    """Build the flywheel, train it and set the fitted attributes.

    Where the guard gives the fit up and the plan has another number of folds to begin again with, nothing is set;
    returns why it was given up, else None.
    """
    params, sample, ranks = job.params, job.sample.x, job.ranks
    nets = choose_nets(params, sample.ndim > 2, job.n_taking_part, plan.n_folds, distributed=not ranks.alone)
    check_ranks(ranks, params, nets, job.trained, job.data.classes, job.earlier)
    threads = 1 if nets.are_default and sample.ndim == 2 and job.n_taking_part <= FEW_ROWS else None
    n_before = len(job.earlier["history"]) if job.earlier else 0
    checkpointing = fit_checkpoints(params, job.fingerprint, job.seeds, n_before, ranks)
    with at_most_threads(threads), isolated(nets.devices), checkpointing as checkpoints:
        flywheel = assemble(params, nets, job.trained, len(job.data.classes), job.seeds, sample, ranks)
        flywheel.decisions.extend([*job.decisions, plan.decision])
        shown = FitProgress(params["verbose"] if ranks.rank == 0 else 0, flywheel.settings.n_cycles)
        with opened(flywheel.loader.source), shown as progress:
            run = FlywheelRun(flywheel, progress, checkpoints, params["on_cycle"], ranks)
            train(job, run, task)
            if run.given_up and ranks.rank == 0:
                warn_of_giving_up(run.given_up, plan.n_folds_instead)
            if run.given_up and plan.n_folds_instead:
                return run.given_up
            publish_whole(job, run)
    return None


def train(job: FitJob, run: FlywheelRun, task: FitTask) -> None:
    """The warm-up, or what an earlier fit left, and the cycles; until a net's callback, the guard or Ctrl-C stops them.

    After Ctrl-C the fitted attributes are those of the cycles so far, if there were any, and KeyboardInterrupt goes on.
    """
    try:
        for trainer in run.flywheel.trainers:
            trainer.begin()
        run.start(job.earlier)
        run.run_cycles(task)
    except StopTraining as stop:
        end_training(run)
        if not run.history:
            warn_of_early_stop(stop, in_a_cycle=run.last_good_state is not None)
            run.flywheel.start_cycles()
    except KeyboardInterrupt as error:
        run.ranks.leave(error)  # each rank has all there is
        run.flywheel.loader.source.close()  # a terminal's Ctrl-C ends workers too; there will be others
        publish_cycles_so_far(job, run)
        raise
    else:
        end_training(run)


def publish_whole(job: FitJob, run: FlywheelRun) -> None:
    """The fitted attributes; after Ctrl-C once more from the beginning, and KeyboardInterrupt goes on."""
    decisions = list(run.flywheel.decisions)
    try:
        publish(job, run)
    except KeyboardInterrupt as error:
        run.ranks.leave(error)
        run.flywheel.loader.source.close()  # as in `train`
        run.flywheel.decisions[:] = decisions
        run.back_to_good()
        publish(job, run)
        raise


def publish_cycles_so_far(job: FitJob, run: FlywheelRun) -> None:
    """The fitted attributes from before the cycle that was interrupted; none if it was the first one."""
    if run.history:
        run.back_to_good()
    try:
        end_training(run)
    finally:
        if run.history:
            publish(job, run)


def end_training(run: FlywheelRun) -> None:
    """Tell the callbacks of nets that have trained that it is over; one that stops it then has nothing to stop."""
    for trainer in run.flywheel.trainers:
        if trainer.net.history:
            with suppress(StopTraining):
                trainer.end()


def warn_of_giving_up(why: str, n_folds_instead: int | None) -> None:
    """Warn that the guard stopped the cycles, and say what follows."""
    if n_folds_instead:
        warn_of_turning(f"{why}: begins again with {n_folds_instead} folds", "See n_folds in decisions_")
    else:
        warn_of_turning(f"{why}: stopped with the state before it")


def warn_of_fitted(job: FitJob) -> None:
    """`warn_of_result` of the estimator that was fitted."""
    fitted, data = job.estimator, job.data
    refurbished = fitted.refurbished_proba_.argmax(1)
    warn_of_result(fitted.transition_matrix_, fitted.clean_proba_, refurbished, data.codes, data.classes)
