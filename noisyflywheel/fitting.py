"""One fit: from checked rows and labels to the fitted attributes of the estimator."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import check_random_state
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel import em, snapshot
from noisyflywheel.compat import FitTask
from noisyflywheel.data import Source, as_row
from noisyflywheel.exceptions import DivergenceError
from noisyflywheel.flywheel import Flywheel
from noisyflywheel.guard import Guard
from noisyflywheel.inputs import make_source, sample_rows
from noisyflywheel.nets import Trainer, check_output, prepare_net
from noisyflywheel.nets.prepare import check_net, default_net
from noisyflywheel.nets.trainer import StopTraining
from noisyflywheel.parameters import make_settings
from noisyflywheel.progress import FitProgress
from noisyflywheel.scores import calibrated, mean_posterior
from noisyflywheel.views.adapter import ViewAdapter
from noisyflywheel.views.vectors import VectorViews
from noisyflywheel.warmup import warm_up

SAMPLE_NUMBERS = 10_000_000
"""Views and standardisation learn their scale from at most as many rows as hold so many numbers."""


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
        run(estimator, wheel, classes, X, y)


def draw_seeds(random_state: Any) -> list[int]:
    """Three seeds: of g, of f, and of the loop. None takes fresh entropy and leaves numpy's global state."""
    if random_state is None:
        return [int(s) for s in np.random.SeedSequence().generate_state(3, np.uint32)]
    drawn = check_random_state(random_state).randint(0, 2**31 - 1, size=3)
    return [int(s) for s in drawn]


def resolve_device(device: Any) -> str:
    """The device of default nets."""
    if str(device) != "auto":
        return str(device)
    return "cuda" if torch.cuda.is_available() else "cpu"


def build(estimator: Any, rows: Any, codes: NDArray[np.int64], n_classes: int, seeds: list[int]) -> Flywheel:
    """Nets, views and source, checked against each other before any training."""
    p = estimator.get_params(deep=False)
    settings = make_settings(p)
    device = resolve_device(p["device"])
    nets = _choose_nets(p, rows, device)
    net_is_default = p["main_net"] is None and p["aux_net"] is None
    own_device = None if str(p["device"]) == "auto" else device
    home = torch.device(own_device or nets[1].device or device)
    source = make_source(rows, home)
    sample = sample_rows(source, max(100, SAMPLE_NUMBERS // first_row(rows).numel()))
    views = ViewAdapter(default_views(p["views"], sample), sample)
    image = sample.ndim == 4
    amp = image and bf16_pays(home)
    trainers = []
    for net, name, seed in zip(nets, ("main_net", "aux_net"), seeds, strict=False):
        torch.manual_seed(seed)
        ready = prepare_net(net, widths(sample, n_classes), own_device, image)
        if hasattr(ready.module_, "adapt"):
            ready.module_.adapt(views.plain(sample).to(home))
        trainer = Trainer(ready, amp, p["feature_layer"], scheduled=net_is_default)
        trainer.net._set_training(False)
        with torch.no_grad():
            output = trainer.forward(views.plain(sample[:2]))
        check_output(output, trainer.kind, 2, n_classes, name)
        trainers.append(trainer)
        if not settings.refurbish:
            trainers.append(trainer)
            break
    main, aux = trainers
    given = torch.from_numpy(codes).to(home)
    return Flywheel(main, aux, views, source, given, n_classes, settings, seeds[2])


def _choose_nets(p: dict[str, Any], rows: Any, device: str) -> tuple[Any, Any]:
    """g and f before cloning: the user's, a clone of the one given, or the defaults."""
    for name in ("main_net", "aux_net"):
        if p[name] is not None:
            check_net(p[name], name)
    main, aux = p["main_net"] or p["aux_net"], p["aux_net"] or p["main_net"]
    if main is None:
        main = aux = default_net(first_row(rows).ndim > 1, len(rows), device)  # type: ignore[arg-type]
    return main, aux


def first_row(rows: Tensor | Dataset) -> Tensor:
    """The first row: (d,) or (C, H, W)."""
    return rows[0] if isinstance(rows, Tensor) else as_row(rows[0])


def default_views(views: Any, sample: Tensor) -> Any:
    """The view object for ``views="auto"``: by the number of dimensions of a batch."""
    if not (isinstance(views, str) and views == "auto"):
        return views
    if sample.ndim == 4:
        from noisyflywheel.views.images import ImageViews

        return ImageViews()
    return VectorViews()


def bf16_pays(device: torch.device) -> bool:
    """Whether bf16 autocast is faster there: CUDA from Ampere on, CPUs with bf16 instructions."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def widths(sample: Tensor, n_classes: int) -> dict[str, int]:
    """What `prepare_net` fills in: of vectors the number of features, of images the number of channels."""
    if sample.ndim == 2:
        return {"n_features": sample.shape[1], "n_classes": n_classes}
    return {"n_features": sample[0].numel(), "n_classes": n_classes, "in_channels": sample.shape[1]}


def run(estimator: Any, wheel: Flywheel, classes: NDArray[Any], X: Any, y: Any) -> None:
    """Warm-up and cycles, then the fitted attributes."""
    history: list[dict[str, float]] = []
    fingerprint = [list(wheel.views.row_shape), *map(str, classes), hash_labels(wheel.given)]
    task = FitTask(estimator, wheel.settings.n_cycles, X, y)
    try:
        with FitProgress(estimator.verbose, wheel.settings.n_cycles) as progress:
            for trainer in wheel.trainers:
                trainer.begin()
            if not continue_warm(estimator, wheel, history, fingerprint):
                estimator.n_warmup_epochs_ = warm_up(wheel, progress)
            guard = Guard(wheel) if wheel.settings.guard and wheel.settings.refurbish else None
            for _ in range(wheel.settings.n_cycles):
                subtask = task.cycle_begin()
                row = wheel.cycle()
                check_finite(row, wheel)
                history.append(row | (estimator.on_cycle(wheel, row) or {} if estimator.on_cycle else {}))
                progress.cycle(row)
                stop = task.cycle_end(subtask)
                if stop or (guard is not None and not guard.allows(row)):
                    break
            for trainer in wheel.trainers:
                trainer.end()
    except StopTraining:
        if not history:
            wheel.start_cycles()
    except KeyboardInterrupt:
        if history:
            publish(estimator, wheel, classes, history, fingerprint)
        raise
    publish(estimator, wheel, classes, history, fingerprint)
    task.end()


def hash_labels(given: Tensor) -> str:
    """A digest of the given labels."""
    return hashlib.sha256(given.cpu().numpy().tobytes()).hexdigest()


def continue_warm(
    estimator: Any, wheel: Flywheel, history: list[dict[str, float]], fingerprint: list[Any]
) -> bool:
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
    wheel.first_cycle = wheel.state.cycle
    return True


def check_finite(row: dict[str, float], wheel: Flywheel) -> None:
    """Raise if a loss of this cycle is NaN or infinite."""
    names = ("auxiliary_loss", "main_loss") if wheel.settings.refurbish else ("main_loss",)
    for name in names:
        if not np.isfinite(row[name]):
            raise DivergenceError(
                f"{name} became {row[name]} in cycle {int(row['cycle'])}: lower the learning rate or cr_weight, "
                f"lengthen cr_ramp, or look for extreme values in X."
            )


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
            trainer.average.adopt()
    s = wheel.state
    refurbished = em.refurbish(s.q, s.given, s.f_prob.double())
    refurbished /= refurbished.sum(1, keepdim=True)
    quality = (s.quality_sum / s.n_scored.clamp_min(1)).clamp(0, 1)
    posterior = refurbished.gather(1, s.given[:, None]).squeeze(1)
    late = s.n_late.clamp_min(1)
    posterior = torch.where(s.n_late > 0, mean_posterior(s.q_sum / late, s.f_given_sum / late), posterior)
    estimator.classes_ = classes
    estimator.label_quality_ = quality.cpu().numpy()
    estimator.clean_proba_ = calibrated(estimator.label_quality_, posterior.cpu().numpy())
    estimator.refurbished_proba_ = refurbished.cpu().numpy()
    estimator.refurbished_labels_ = classes[estimator.refurbished_proba_.argmax(1)]
    estimator.transition_matrix_ = em.transition_matrix(refurbished, s.given).cpu().numpy()
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
