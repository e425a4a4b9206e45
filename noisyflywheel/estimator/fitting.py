"""One fit: from checked rows and labels to the fitted attributes of the estimator."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel import em
from noisyflywheel.data import Source
from noisyflywheel.estimator.assemble import build, draw_seeds
from noisyflywheel.estimator.callbacks import FitTask
from noisyflywheel.estimator.inputs import make_source
from noisyflywheel.estimator.label_quality import BAYES_SHARE, bayes_posterior, calibrated, mean_posterior
from noisyflywheel.estimator.result_warnings import warn_of_doubts
from noisyflywheel.exceptions import ADVICE, DivergenceError
from noisyflywheel.loop import snapshot
from noisyflywheel.loop.checkpoints import FitCheckpoints, fit_checkpoints
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.progress import FitProgress
from noisyflywheel.loop.run_state import Place
from noisyflywheel.loop.warmup import warm_up
from noisyflywheel.nets import Trainer
from noisyflywheel.nets.stopping import StopTraining, warn_of_stop_in_warm_up

LONG = 60.0
"""Seconds without a checkpoint after which one is written inside a cycle."""


def fit_flywheel(
    estimator: Any,
    rows: Tensor | Dataset,
    labels: NDArray[Any],
    classes: NDArray[Any],
    codes: NDArray[np.int64],
    X: Any,
    y: Any,
) -> None:
    """Fit ``estimator`` in place; global RNG states are as before, also after an exception."""
    seeds = draw_seeds(estimator.random_state)
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        wheel = build(estimator, rows, codes, len(classes), seeds)
        torch.manual_seed(seeds[2])
        with fit_checkpoints(estimator, rows, codes, classes, seeds) as checkpoints:
            run(estimator, wheel, classes, X, y, checkpoints)


def run(estimator: Any, wheel: Flywheel, classes: NDArray[Any], X: Any, y: Any, checkpoints: FitCheckpoints) -> None:
    """Warm-up and cycles, then the fitted attributes."""
    place = Place(wheel)
    fingerprint = [list(wheel.views.row_shape), *map(str, classes), hash_labels(wheel.given)]
    task = FitTask(estimator, wheel.settings.n_cycles, X, y)
    try:
        with FitProgress(estimator.verbose, wheel.settings.n_cycles) as progress:
            for trainer in wheel.trainers:
                trainer.begin()
            start(estimator, place, fingerprint, progress, checkpoints)
            turn(estimator, place, task, progress, checkpoints)
            for trainer in wheel.trainers:
                trainer.end()
    except StopTraining as stop:
        if not place.history:
            warn_of_stop_in_warm_up(stop)
            wheel.start_cycles()
    except KeyboardInterrupt:
        if place.history:
            place.back_to_good()
            publish(estimator, wheel, classes, place.history, fingerprint)
        raise
    publish(estimator, wheel, classes, place.history, fingerprint)
    warn_of_doubts(estimator, wheel.given.cpu().numpy())
    task.end()


def start(
    estimator: Any, place: Place, fingerprint: list[Any], progress: FitProgress, checkpoints: FitCheckpoints
) -> None:
    """To the first cycle: from a checkpoint, from the last fit, or by the warm-up."""
    with checkpoints.trusting() as saved:
        resumed = place.resume(saved)
    if resumed:
        estimator.n_warmup_epochs_ = place.warmup_epochs
    elif continue_warm(estimator, place.wheel, place.history, fingerprint):
        place.warmup_epochs = estimator.n_warmup_epochs_
    else:
        estimator.n_warmup_epochs_ = place.warmup_epochs = warm_up(place.wheel, progress, checkpoints)
    progress.skip(place.turns)


def turn(estimator: Any, place: Place, task: FitTask, progress: FitProgress, checkpoints: FitCheckpoints) -> None:
    """The cycles that are left, each checked, recorded and, when it is time, written down."""
    wheel = place.wheel
    place.begin_cycles()
    while place.turns < wheel.settings.n_cycles and not place.stopped:
        subtask = task.cycle_begin()
        half = place.half or wheel.first_half()
        if checkpoints.due(LONG):
            checkpoints.save(place.state(half))
        row = wheel.second_half(half)
        check_finite(row, wheel)
        place.end_cycle(row | (estimator.on_cycle(wheel, row) or {} if estimator.on_cycle else {}))
        progress.cycle(row)
        place.stopped |= task.cycle_end(subtask)
        last = place.stopped or place.turns == wheel.settings.n_cycles
        if last or checkpoints.due():
            checkpoints.save(place.state())


def hash_labels(given: Tensor) -> str:
    """A digest of the given labels."""
    return hashlib.sha256(given.cpu().numpy().tobytes()).hexdigest()


def continue_warm(estimator: Any, wheel: Flywheel, history: list[dict[str, float]], fingerprint: list[Any]) -> bool:
    """Put back the state of the last fit where ``warm_start`` asks for it; returns whether it did.

    Raises
    ------
    ValueError
        If rows, features, classes or labels are not those of the last fit.
    """
    kept = getattr(estimator, "_kept", None)
    if not estimator.warm_start or kept is None:
        return False
    if kept["fingerprint"] != fingerprint:
        raise ValueError(
            "warm_start=True needs the rows, features, classes and labels of the last fit; "
            "clone the estimator or set warm_start=False to fit on others."
        )
    snapshot.put_back(wheel, kept["snapshot"])
    history.extend(kept["history"])
    wheel.go_on_from(wheel.state.cycle)
    return True


def check_finite(row: dict[str, float], wheel: Flywheel) -> None:
    """Raise if a loss of this cycle, gamma or a prediction is NaN or infinite."""
    names = ["main_loss", "gamma", "f_entropy", *(["auxiliary_loss"] if wheel.settings.refurbish else [])]
    for name in names:
        if not np.isfinite(row[name]):
            raise DivergenceError(f"{name} became {row[name]} in cycle {int(row['cycle'])}: {ADVICE}")


def publish(
    estimator: Any,
    wheel: Flywheel,
    classes: NDArray[Any],
    history: list[dict[str, float]],
    fingerprint: list[Any],
) -> None:
    """The closing E-step and every fitted attribute."""
    estimator._kept = None
    if estimator.warm_start:
        kept = snapshot.take(wheel)
        estimator._kept = {"snapshot": kept, "history": list(history), "fingerprint": fingerprint}
    wheel.close()
    for trainer in wheel.trainers:
        if trainer.average is not None:
            trainer.average.copy_to_module()
    s = wheel.state
    refurbished = em.refurbish(s.q, s.given, s.f_prob.double())
    refurbished /= refurbished.sum(1, keepdim=True)
    quality = (s.quality_sum / s.n_scored.clamp_min(1)).clamp(0, 1)
    posterior = refurbished.gather(1, s.given[:, None]).squeeze(1)
    late = s.n_late.clamp_min(1)
    posterior = torch.where(s.n_late > 0, mean_posterior(s.q_sum / late, s.f_given_sum / late), posterior)
    T = em.transition_matrix(refurbished, s.given)
    posterior = torch.lerp(posterior, bayes_posterior(s.f_prob.double(), T, s.given), BAYES_SHARE)
    estimator.classes_ = classes
    estimator.label_quality_ = quality.cpu().numpy()
    estimator.clean_proba_ = calibrated(estimator.label_quality_, posterior.cpu().numpy())
    estimator.refurbished_proba_ = refurbished.cpu().numpy()
    estimator.refurbished_labels_ = classes[estimator.refurbished_proba_.argmax(1)]
    estimator.transition_matrix_ = T.cpu().numpy()
    estimator.corruption_matrix_ = em.corruption_matrix(s.q, s.f_prob, s.given).cpu().numpy()
    estimator.clean_rate_ = float(s.gamma)
    estimator.history_ = pd.DataFrame(history)
    estimator.n_iter_ = len(history)
    estimator._train_proba = s.f_prob.cpu().numpy()
    estimator.main_net_ = wheel.main.net
    if wheel.settings.refurbish:
        estimator.aux_net_ = wheel.aux.net
    estimator.views_ = wheel.views
    estimator._amp = wheel.aux.amp


def predict_rows(estimator: Any, rows: Tensor | Dataset) -> NDArray[np.float64]:
    """Probabilities (n, K) of f, or of g where there is no f; float64, rows sum to 1."""
    net = estimator.aux_net_ if estimator.refurbish and hasattr(estimator, "aux_net_") else estimator.main_net_
    trainer = Trainer(net, estimator._amp)
    source: Source = make_source(rows, trainer.device)
    index = torch.arange(len(source))
    views = estimator.views_
    vectors = source.take(index[:1]).ndim == 2
    log_p = trainer.predict(source, views.plain, index, views.eval_batch, pad=vectors)
    proba = log_p.double().exp()
    return (proba / proba.sum(1, keepdim=True)).cpu().numpy()
