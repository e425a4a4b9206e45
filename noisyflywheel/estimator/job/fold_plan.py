"""How many folds a fit has, and how many it begins again with where one net on all rows turns against itself."""

from __future__ import annotations

from typing import NamedTuple

from noisyflywheel.estimator.auto.defaults import against_folds, choose_folds_instead, choose_n_folds, make_settings
from noisyflywheel.estimator.job.fit_job import FitJob
from noisyflywheel.loop.decisions.decide import Decision
from noisyflywheel.loop.with_folds.rounds import most_cycles


class FoldPlan(NamedTuple):
    """The number of folds of a fit, and why."""

    n_folds: int
    """1: one net on all rows, as in the paper."""
    decision: Decision
    """The row of ``decisions_`` that says so."""
    n_folds_instead: int | None
    """Folds with which the fit begins again if the guard gives it up; None where it does not begin again."""


def plan_folds(job: FitJob) -> FoldPlan:
    """By parameters and data, or as in the fit that this one continues.

    Raises
    ------
    ValueError
        If the parameters ask for folds that cannot be had, or for another number than the continued fit has.
    """
    params, n, n_classes = job.params, job.n_taking_part, len(job.data.classes)
    if params["n_folds"] == "auto" and job.earlier and "n_folds" in job.earlier and not against_folds(params):
        n_folds = job.earlier["n_folds"]
        return FoldPlan(n_folds, Decision("n_folds", str(n_folds), reason="as in the fit before"), None)
    n_folds, decision = choose_n_folds(params, job.sample.x, n, job.is_table, job.sample.given)
    kept = n_folds if job.earlier is None else job.earlier.get("n_folds", n_folds)
    if kept != n_folds:
        raise ValueError(
            f"warm_start=True goes on with the nets of the last fit, which has n_folds={kept}, but the parameters ask "
            f"for {n_folds} ({decision.reason}): set n_folds={kept} or warm_start=False."
        )
    instead = None if job.earlier else choose_folds_instead(params, n_folds, job.sample.x, n, n_classes)
    return FoldPlan(n_folds, decision, instead)


def begin_again(job: FitJob, plan: FoldPlan, n_folds: int, why: str) -> tuple[FitJob, FoldPlan]:
    """The same fit with ``n_folds`` folds, as if the caller had asked for them; ``why`` the plan was given up."""
    reason = f"one net on all rows turned against itself: {why}"
    decision = plan.decision._replace(chosen=str(n_folds), reason=reason)
    return job._replace(params=job.params | {"n_folds": n_folds}), FoldPlan(n_folds, decision, None)


def cycles_at_most(job: FitJob, plan: FoldPlan) -> int:
    """Cycles of a fit by this plan, those after a second beginning included."""
    n = 0
    for n_folds in (plan.n_folds, plan.n_folds_instead):
        if n_folds is not None:
            settings = make_settings(job.params, job.sample.x.ndim > 2, n_folds, job.n_taking_part)
            n += most_cycles(settings.n_cycles, settings.n_rounds)
    return n
