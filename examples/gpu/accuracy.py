"""Part 5: the paper's recipe on CIFAR-10 from JPEG copies, shortened to the time there is, beside plain training.

The archive holds JPEG copies of the pictures: scores lie a little below those on the original pixels.

How many cycles a run has follows from the seconds of a cycle that part 2 measured on this device: the first set is
run alone, the others side by side and therefore shorter; the recipe's cosine is fitted to it. Plain training is
cross-entropy on weak views with the same net, optimizer and batch, for as many passes over the pictures forward and
backward as f has. A fit that was cut off goes on from its last checkpoint.
"""

import json
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from context import Context
from cycle import SMALL, VARIANTS, Compiled, configure
from pictures import SETS, Pictures, noisy_set
from sklearn.metrics import average_precision_score, roc_auc_score
from torch.nn.functional import nll_loss

from noisyflywheel import FlywheelClassifier, recipes
from noisyflywheel.data import ArraySource
from noisyflywheel.loop.loader import predict_plain
from noisyflywheel.nets import Batch, Trainer, prepare_net
from noisyflywheel.reproduce.measures import CycleMeasures
from noisyflywheel.views import ImageViews

WARM_UP, LONGEST, FAST_LONGEST = 10, 290, 110
CYCLE_SECONDS = 4.5
"""Where part 2 has not run: the goal."""

SIDE_BY_SIDE = 1.5
"""How much more several runs on one card do together than one alone, a cautious guess: it only sizes the runs."""

CHUNK = 1024
LAST = 10
"""Cycles or passes whose mean accuracy is stated beside the last one's."""


def fastest(context: Context) -> tuple[str, float]:
    """The fastest variant of part 2 with the recipe's batch, and its seconds; the plain one without that part."""
    found = [line for line in context.lines() if line["part"] == "cycle" and "result" in line]
    names = {f"cycle {name}": name for name, params in VARIANTS.items() if "main_net__batch_size" not in params}
    known = {names[line["job"]]: line["result"]["cycle"]["cycle"] for line in found if line["job"] in names}
    if not known:
        return "eager", CYCLE_SECONDS
    best = min(known, key=known.__getitem__)
    return best, known[best]


def begun(context: Context, name: str, method: str, folder: Path) -> tuple[str, int]:
    """Variant and cycles of a fit, as they were when it began: it goes on from its checkpoint only with these."""
    path = folder / "begun.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return known["variant"], known["cycles"]
    except (OSError, ValueError, KeyError):
        cycles = LONGEST if method == "whole" and not context.tiny else n_cycles(context, name)
        chosen = fastest(context)[0], cycles
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(zip(("variant", "cycles"), chosen, strict=True))), encoding="utf-8")
        return chosen


def n_cycles(context: Context, name: str) -> int:
    """Cycles that fit; a warm-up epoch of both nets costs about a third of a cycle."""
    if context.tiny:
        return 2
    share = 1.0 if name == SETS[0] else min(1.0, SIDE_BY_SIDE / context.together)
    cycles = context.fit_minutes * 60 * share / fastest(context)[1] - WARM_UP / 3
    return max(5, min(LONGEST, int(cycles)))


def warm_up(context: Context) -> int:
    """The paper's 10 epochs."""
    return 1 if context.tiny else WARM_UP


def measure(context: Context, name: str, method: str) -> dict[str, Any]:
    """Train one method on one set and compare with the true labels."""
    data = noisy_set(name, context.data, context.out / "decoded", context.tiny)
    found: dict[str, Any] = {"set": name, "method": method, "pictures": data.source, "rows": len(data.X)}
    found["wrong_labels"] = float((data.given != data.true).mean())
    start = time.perf_counter()
    found |= plain(context, data, name) if method == "plain" else flywheel(context, data, name, method)
    return found | {"run_seconds": time.perf_counter() - start}


def estimator_of(context: Context, method: str, cycles: int, variant: str) -> FlywheelClassifier:
    """The recipe of one method, with a way to run it, the fastest one."""
    way = dict(VARIANTS[variant])
    fixed = {"n_warmup_epochs": warm_up(context), "device": context.device.type, "random_state": 0}
    if method == "fast":
        compiled = way.get("main_net__module") is Compiled
        made = recipes.cifar10_fast(**fixed, n_cycles=min(cycles, FAST_LONGEST), compiled=compiled and not context.tiny)
    else:
        made = recipes.cifar10(literal=method != "ours", **fixed, n_cycles=cycles)
    params = dict(SMALL) if context.tiny else {} if method == "fast" else way
    torch.backends.cudnn.benchmark = params.pop("benchmark", False)
    configure(made, params)
    return made


def flywheel(context: Context, data: Pictures, name: str, method: str) -> dict[str, Any]:
    """Fit; what f reaches on the test rows, and how well wrong labels are ranked."""
    folder = context.out / "checkpoints" / f"{name}-{method}"
    variant, cycles = begun(context, name, method, folder)
    estimator = estimator_of(context, method, cycles, variant)
    measures = CycleMeasures(data.given, data.true, data.X_test, data.y_test)
    estimator.set_params(on_cycle=measures, checkpoint_dir=folder).fit(data.X, data.given)
    shutil.rmtree(folder, ignore_errors=True)
    history, wrong = estimator.history_, data.given != data.true
    curve = history["test_accuracy"].tolist()
    found = {"n_cycles": estimator.n_iter_, "passes": passes(context, estimator, estimator.n_iter_)}
    found |= {"test_accuracy": float((estimator.predict(data.X_test) == data.y_test).mean())}
    found |= {"mean_of_last": float(np.mean(curve[-LAST:])), "curve": [round(value, 4) for value in curve]}
    found |= {"cycle_seconds": float(history["cycle_seconds"].median())}
    found["refurbished_accuracy"] = float((estimator.refurbished_labels_ == data.true).mean())
    if wrong.any():
        suspicion = 1 - estimator.label_quality_
        found["auroc"] = float(roc_auc_score(wrong, suspicion))
        found["average_precision"] = float(average_precision_score(wrong, suspicion))
    return found


def passes(context: Context, estimator: FlywheelClassifier, cycles: int) -> int:
    """Passes of f over the pictures, forward and backward: two weak views where mixed, two strong where contrasted."""
    each = (2 if estimator.mixup_alpha > 0 else 1) + (2 if estimator.contrastive_weight > 0 else 0)
    return warm_up(context) + each * cycles


def plain(context: Context, data: Pictures, name: str) -> dict[str, Any]:
    """Cross-entropy on the given labels with the recipe's net, its cosine over as many passes as f has."""
    twin = estimator_of(context, "paper", n_cycles(context, name), fastest(context)[0])
    total = passes(context, twin, twin.n_cycles)
    net = recipes.cifar10(n_warmup_epochs=total, n_cycles=0, device=context.device.type).main_net
    params = {k.removeprefix("main_net__"): v for k, v in twin.get_params().items() if k.startswith("main_net__mod")}
    x, x_test = (torch.from_numpy(X).permute(0, 3, 1, 2) for X in (data.X, data.X_test))
    views, amp = ImageViews().fit(x), context.device.type == "cuda" and torch.cuda.is_bf16_supported()
    torch.manual_seed(0)
    batch = twin.main_net.batch_size
    ready = net.set_params(batch_size=batch, module=params.pop("module")).set_params(**params)
    widths = {"n_classes": 10, "in_channels": x.shape[1]}
    trainer = Trainer(prepare_net(ready, widths, context.device.type, True), amp)
    there = x.to(context.device), torch.from_numpy(data.given).to(context.device)
    generator, curve = torch.Generator().manual_seed(0), []
    trainer.begin()
    for epoch in range(total):
        trainer.epoch(steps(*there, views, trainer.net.batch_size, generator))
        if epoch % 5 == 4 or epoch >= total - LAST:
            curve.append(accuracy(trainer, ArraySource(x_test, context.device), views, data.y_test))
    return {"passes": total, "test_accuracy": curve[-1], "mean_of_last": float(np.mean(curve[-LAST:])), "curve": curve}


def steps(x: torch.Tensor, given: torch.Tensor, views: ImageViews, batch: int, generator: torch.Generator) -> Any:
    """One pass of shuffled weak views; a last batch of one row is left out."""
    for rows in torch.randperm(len(x), generator=generator).to(x.device).split(CHUNK):
        made = views.weak(x[rows], generator)
        for view, label in zip(made.split(batch), given[rows].split(batch), strict=True):
            if len(view) > 1:
                yield Batch(view, label, partial(nll_loss, target=label))


def accuracy(trainer: Trainer, source: ArraySource, views: ImageViews, y: np.ndarray) -> float:
    """Share of test rows (m, ...) whose class (m,) is found."""
    found = predict_plain(trainer, source, views.plain).argmax(1).cpu().numpy()
    return float((found == y).mean())
