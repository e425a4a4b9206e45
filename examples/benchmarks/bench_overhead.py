"""Claim: a fit costs at most 1.5 times a bare torch loop that does the same arithmetic.

Both run in this process, in turn, on scikit-learn's digits with 20 % of the labels redrawn: the same MLP, views,
losses, batches and random numbers; one warm-up epoch and then cycles of two E-steps and two M-steps. The bare loop has
modules and optimizers only: no skorch, callbacks, validation, history, guard or fitted attributes. Reported are the
medians of several repeats and their ratio. One thread, and processor time is what counts, so that other work on the
machine does not; wall time is printed beside it. That both did the same is checked by their predictions.

    python examples/benchmarks/bench_overhead.py
    python examples/benchmarks/bench_overhead.py --cycles 50 --repeats 9 --json overhead.json --check
"""

import argparse
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import sklearn
import skorch
import torch
from machine import processor
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from noisyflywheel import FlywheelClassifier, em
from noisyflywheel.backbones import MLP
from noisyflywheel.data import batches
from noisyflywheel.estimator.job.random_states import draw_seeds
from noisyflywheel.loop.loader import MOST_ROWS
from noisyflywheel.loop.schedules import HOLD
from noisyflywheel.losses import main_loss, soft_target_cross_entropy
from noisyflywheel.nets.prepare import default_net
from noisyflywheel.noise import symmetric
from noisyflywheel.views import VectorViews

BAR = 1.5
SAME = 0.001
"""Predictions that differ by more in the mean come from other arithmetic. Rounding alone leaves 1e-8 for ten cycles or
more; then it turns the first resampled label that was nearly even, and the predictions of a few rows move."""

K = 10
LAMBDA, RAMP = 3.0, 5
EVAL_BATCH = 512


def with_library(X: np.ndarray, given: np.ndarray, n_cycles: int, seed: int) -> np.ndarray:
    """Probabilities (n, K) after `FlywheelClassifier.fit`, whose cost is that of a fit and one prediction."""
    clf = FlywheelClassifier(
        n_warmup_epochs=1,
        n_cycles=n_cycles,
        cr_weight=LAMBDA,
        cr_ramp=RAMP,
        distribution_alignment=0,
        average_epochs=0,
        calibrate=False,
        device="cpu",
        random_state=seed,
    ).fit(X, given)
    return clf.predict_proba(X)


class Bare:
    """The same fit as tensors, two modules and two optimizers.

    Parameters
    ----------
    X : Tensor of shape (n, d), float32
    given : Tensor of shape (n,), int64
    n_cycles, seed : int
    """

    def __init__(self, X: Tensor, given: Tensor, n_cycles: int, seed: int) -> None:
        self.X, self.given, self.n_cycles = X, given, n_cycles
        options = default_net(False, len(X), "cpu").get_params(deep=False)
        self.size, self.lr_g = options["batch_size"], options["lr"]
        self.lr_f = default_net(False, len(X), "cpu", auxiliary=True).lr
        sgd = {name[11:]: value for name, value in options.items() if name.startswith("optimizer__")}
        seeds = draw_seeds(seed)
        self.views = VectorViews().fit(X)
        torch.manual_seed(seeds[0])
        self.g = MLP(X.shape[1], K)
        torch.manual_seed(seeds[1])
        self.f = MLP(X.shape[1], K)
        for net in (self.g, self.f):
            net.adapt(X)
        self.step_g = torch.optim.SGD(self.g.parameters(), lr=self.lr_g, **sgd)
        self.step_f = torch.optim.SGD(self.f.parameters(), lr=self.lr_f, **sgd)
        self.order = torch.Generator().manual_seed(seeds[2])
        self.augment = torch.Generator().manual_seed(seeds[2])

    def weak(self, x: Tensor) -> Tensor:
        return self.views.weak(x, self.augment)

    def viewed(self, *views: Callable[[Tensor], Tensor]) -> Iterator[tuple[Tensor, ...]]:
        parts = list(batches(torch.arange(len(self.X)), self.size, self.order))
        per = max(1, MOST_ROWS // self.size)
        for start in range(0, len(parts), per):
            group = parts[start : start + per]
            raw, sizes = self.X[torch.cat(group)], [len(part) for part in group]
            yield from zip(group, *(view(raw).split(sizes) for view in views), strict=True)

    @torch.inference_mode()
    def predict(self, net: nn.Module, view: Callable[[Tensor], Tensor]) -> Tensor:
        net.eval()
        return torch.cat([torch.log_softmax(net(view(x)), 1) for x in self.X.split(EVAL_BATCH)])

    @torch.inference_mode()
    def predict_plain(self, net: nn.Module) -> Tensor:
        """Every forward has as many rows as the library's: rounding then does not depend on the last one."""
        net.eval()
        parts = []
        for x in self.X.split(EVAL_BATCH):
            full = torch.cat([x, x[-1:].expand(EVAL_BATCH - len(x), -1)])
            parts.append(torch.log_softmax(net(full), 1)[: len(x)])
        return torch.cat(parts)

    def guess(self) -> Tensor:
        weak = self.predict(self.f, self.weak).exp() + self.predict(self.f, self.weak).exp()
        return (weak + self.predict_plain(self.f).exp()) / 3

    def fit(self) -> np.ndarray:
        for net, optimizer in ((self.g, self.step_g), (self.f, self.step_f)):
            self.warm_up(net, optimizer)
        n = len(self.given)
        f_prob = self.predict_plain(self.f).exp()
        gamma = em.main.clip_clean_rate(em.agreement(f_prob, self.given))
        eps = torch.full((n,), 1 / K, dtype=torch.float64)
        quality, rows = torch.zeros(n, dtype=torch.float64), self.given[:, None]
        for cycle in range(self.n_cycles):
            share = max(0.0, cycle / self.n_cycles - HOLD) / (1 - HOLD)
            for optimizer, lr in ((self.step_g, self.lr_g), (self.step_f, self.lr_f)):
                for group in optimizer.param_groups:
                    group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * share))
            q, gamma = self.e_step(gamma, eps, quality)
            if cycle == 0:
                f_prob = self.guess()
            em.transition_matrix(em.refurbish(q, self.given, f_prob), self.given)
            corruption = em.corruption_matrix(q, f_prob, self.given)
            self.m_step_f(q, f_prob)
            f_prob = self.guess()
            y_hat = em.refurbish(q, self.given, f_prob).argmax(1)
            eps = em.error_probability(f_prob, corruption, self.given).double()
            self.m_step_g(y_hat, LAMBDA * min(1.0, cycle / RAMP))
        self.e_step(gamma, eps, quality)
        proba = self.predict_plain(self.f).exp()
        q_y = em.refurbish(q, self.given, proba.double()).gather(1, rows)
        assert bool(q_y.isfinite().all())
        return proba.numpy()

    def warm_up(self, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        net.train()
        for index, x in self.viewed(self.weak):
            optimizer.zero_grad()
            F.nll_loss(torch.log_softmax(net(x), 1), self.given[index]).backward()
            optimizer.step()

    def e_step(self, gamma: Tensor, eps: Tensor, quality: Tensor) -> tuple[Tensor, Tensor]:
        log_g = self.predict_plain(self.g)
        rows = self.given[:, None]
        g_given = log_g.gather(1, rows).squeeze(1).double().exp()
        quality += g_given
        q = em.clean_posterior(g_given, gamma, eps)
        return q, em.update_clean_rate(q)

    def m_step_f(self, q: Tensor, f_prob: Tensor) -> None:
        self.f.train()
        for index, x in self.viewed(self.weak):
            target = em.refurbish(q[index].float(), self.given[index], f_prob[index])
            self.step_f.zero_grad()
            soft_target_cross_entropy(torch.log_softmax(self.f(x), 1), target).backward()
            self.step_f.step()

    def m_step_g(self, y_hat: Tensor, weight: float) -> None:
        counts = torch.bincount(y_hat, minlength=K).float()
        prior = (counts + 1) / (counts + 1).sum()
        self.g.train()
        for index, x in self.viewed(self.weak):
            self.step_g.zero_grad()
            main_loss(torch.log_softmax(self.g(x), 1), y_hat[index], prior, weight).backward()
            self.step_g.step()


def bare_loop(X: np.ndarray, given: np.ndarray, n_cycles: int, seed: int) -> np.ndarray:
    """Probabilities (n, K) after the bare loop."""
    with torch.random.fork_rng(devices=[]):
        return Bare(torch.from_numpy(X), torch.from_numpy(given), n_cycles, seed).fit()


def timed(run: Callable[[], np.ndarray]) -> tuple[float, float, np.ndarray]:
    """Processor seconds, wall seconds and result."""
    wall, processor = time.perf_counter(), time.process_time()
    result = run()
    return time.process_time() - processor, time.perf_counter() - wall, result


def measure(n_cycles: int, repeats: int, seed: int) -> dict[str, Any]:
    """Medians of interleaved repeats, after one of each that does not count."""
    X, y = load_digits(return_X_y=True)
    X, given = X.astype(np.float32), np.asarray(symmetric(y, 0.2, random_state=seed))
    times: dict[str, list[tuple[float, float]]] = {"fit": [], "bare": []}
    for repeat in range(repeats + 1):
        last = {}
        for name, run in (("fit", with_library), ("bare", bare_loop)):
            processor, wall, last[name] = timed(lambda run=run: run(X, given, n_cycles, seed))  # type: ignore[misc]
            if repeat:
                times[name].append((processor, wall))
    medians = {name: [statistics.median(column) for column in zip(*t, strict=True)] for name, t in times.items()}
    return {
        "rows": len(X),
        "cycles": n_cycles,
        "repeats": repeats,
        "fit_processor_seconds": medians["fit"][0],
        "bare_processor_seconds": medians["bare"][0],
        "ratio": medians["fit"][0] / medians["bare"][0],
        "fit_wall_seconds": medians["fit"][1],
        "bare_wall_seconds": medians["bare"][1],
        "wall_ratio": medians["fit"][1] / medians["bare"][1],
        "largest_difference_of_predictions": float(np.abs(last["fit"] - last["bare"]).max()),
        "mean_difference_of_predictions": float(np.abs(last["fit"] - last["bare"]).mean()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the bar is missed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    versions |= {"skorch": skorch.__version__, "scikit-learn": sklearn.__version__, "processor": processor()}
    print(__doc__.splitlines()[0])
    print(", ".join(f"{name} {value}" for name, value in versions.items()))
    found = measure(arguments.cycles, arguments.repeats, arguments.seed)
    for name, what in (("fit", "FlywheelClassifier.fit"), ("bare", "bare torch loop")):
        print(f"{what:<24}{found[f'{name}_processor_seconds']:8.2f} s ({found[f'{name}_wall_seconds']:.2f} s wall)")
    print(f"ratio {found['ratio']:.2f} (wall {found['wall_ratio']:.2f}), bar {BAR}")
    same = found["mean_difference_of_predictions"] <= SAME
    print(
        "difference of predictions",
        *(f"{k}: {found[f'{k}_difference_of_predictions']:.1e}" for k in ("mean", "largest")),
    )
    if not same:
        print("the two no longer do the same arithmetic: bring the bare loop up to date")
    if arguments.json:
        result = {"command": " ".join(["python", *sys.argv]), "environment": versions, **found}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(arguments.check and (found["ratio"] > BAR or not same))


if __name__ == "__main__":
    sys.exit(main())
