"""Claim: two processes that share a fit end as one process does, as nearly as rounding allows.

Each fit runs in processes of its own, one thread each: one process alone, then two started by torchrun with gloo. Rows
are made: pictures of 32 pixels for a small ResNet, digits for the default perceptron, with and without MixUp and the
contrastive loss. Speed is that of the cycles without the first, in rows a second; the ratio is that of two processes to
one. Other work on the machine lowers it, for both wait for each other; so the ratio of processor time is there too, of
one process to each of two: what free cores would give at best. Equality is the largest difference in predict_proba,
clean_proba_ and transition_matrix_; beside it stands what rounding alone does: one process again, with each number of X
moved by two parts in ten million. The perceptron's steps are shorter than what its ranks tell each other takes: it is
slower on two.

    python examples/benchmarks/bench_ranks.py --json ranks.json
    python examples/benchmarks/bench_ranks.py --fits perceptron --check
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from machine import processor

SAME, MOVED = 1e-4, 2e-7
PACKAGES = ("torch", "skorch", "scikit-learn", "numpy")
LAUNCH = ["-m", "torch.distributed.run", "--standalone"]


def pictures(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Coarse patterns of four classes under noise: X (n, 3, 32, 32), labels (n,), 20 % of them redrawn."""
    rng = np.random.default_rng(0)
    patterns = rng.normal(0, 30, (4, 3, 4, 4))
    y = np.arange(n) % 4
    X = np.kron(patterns[y], np.ones((1, 1, 8, 8))) + rng.normal(128, 40, (n, 3, 32, 32))
    given = np.where(rng.random(n) < 0.2, rng.integers(0, 4, n), y)
    return np.clip(X / 255, 0, 1).astype(np.float32), given


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits, 30 % of the labels redrawn."""
    from sklearn.datasets import load_digits

    from noisyflywheel.noise import symmetric

    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), symmetric(y, 0.3, random_state=0)


def resnet(n: int) -> tuple[Any, Any, dict[str, Any]]:
    from skorch import NeuralNetClassifier
    from torch import nn

    from noisyflywheel.backbones import SmallResNet

    net = NeuralNetClassifier(SmallResNet, criterion=nn.CrossEntropyLoss, lr=0.1, batch_size=64, train_split=None)
    return *pictures(n), {"main_net": net, "n_warmup_epochs": 3}


FITS: dict[str, Any] = {
    "small ResNet": resnet,
    "perceptron": lambda n: (*digits(), {}),
    "perceptron, MixUp, contrastive loss": lambda n: (*digits(), {"mixup_alpha": 4.0, "contrastive_weight": 0.025}),
}


def fit(name: str, n_pictures: int, n_cycles: int, moved: bool, out: Path) -> None:
    """One fit, as one of the ranks; the first of them leaves what is compared."""
    import torch

    from noisyflywheel import FlywheelClassifier

    torch.set_num_threads(1)
    X, given, params = FITS[name](n_pictures)
    if moved:
        X = X * (1 + MOVED * np.random.default_rng(1).standard_normal(X.shape).astype(X.dtype))
    settings = {"n_cycles": n_cycles, "device": "cpu", "random_state": 0}
    times: list[tuple[float, float]] = []

    def on_cycle(flywheel: Any, row: dict[str, float]) -> None:
        times.append((time.perf_counter(), time.process_time()))

    clf = FlywheelClassifier(**settings, **params, on_cycle=on_cycle).fit(X, given)
    if os.environ.get("RANK", "0") != "0":
        return
    wall, processor_time = np.median(np.diff(times, axis=0), axis=0)
    arrays = {"proba": clf.predict_proba(X), "clean": clf.clean_proba_, "T": clf.transition_matrix_}
    np.savez(out, rows_per_second=len(given) / wall, processor_time=processor_time, **arrays)


def in_processes(name: str, n_ranks: int, arguments: argparse.Namespace, moved: bool = False) -> dict[str, np.ndarray]:
    """`fit` in processes of its own."""
    launch = [*LAUNCH, f"--nproc-per-node={n_ranks}"] if n_ranks > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.npz")
        sizes = ["--pictures", str(arguments.pictures), "--cycles", str(arguments.cycles)]
        command = [sys.executable, *launch, __file__, "--fits", name, *sizes, *["--moved"] * moved, "--fit", str(out)]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True)
        with np.load(out) as found:
            return dict(found)


def difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest difference in each result."""
    return {part: float(f"{np.abs(one[part] - other[part]).max():.2g}") for part in ("proba", "clean", "T")}


def is_same(row: dict[str, Any]) -> bool:
    """Whether two processes are no further from one than `SAME`, or than a few times what rounding does."""
    most = max(SAME, *(5 * value for value in row["by_rounding_alone"].values()))
    return max(row["largest_difference"].values()) <= most


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Speed of one process and of two, and how far their results are apart."""
    table = {}
    for name in arguments.fits:
        one, two = (in_processes(name, n, arguments) for n in (1, 2))
        again = in_processes(name, 1, arguments, moved=True)
        speeds = {n: round(float(found["rows_per_second"]), 1) for n, found in ((1, one), (2, two))}
        apart, rounding = difference(one, two), difference(one, again)
        table[name] = {"rows_per_second": speeds, "ratio": round(speeds[2] / speeds[1], 3)}
        table[name]["ratio_of_processor_time"] = round(float(one["processor_time"] / two["processor_time"]), 3)
        table[name] |= {"largest_difference": apart, "by_rounding_alone": rounding}
        print(f"{name}: {speeds[1]} and {speeds[2]} rows a second, ratio {table[name]['ratio']:.2f}")
        print(f"  ratio of processor time {table[name]['ratio_of_processor_time']:.2f}")
        print(f"  apart {apart}, by rounding alone {rounding}", flush=True)
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fits", nargs="+", default=list(FITS)[:2], choices=list(FITS))
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--check", action="store_true", help="exit with 1 where results differ")
    parser.add_argument("--moved", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        fit(arguments.fits[0], arguments.pictures, arguments.cycles, arguments.moved, arguments.fit)
        return 0
    environment = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    environment["machine"] = f"{processor()}, {os.cpu_count()} cores, one thread a process"
    print(__doc__.splitlines()[0])
    print(", ".join(f"{name} {value}" for name, value in environment.items()))
    before = os.getloadavg()
    table = measure(arguments)
    if arguments.json:
        sizes = {"pictures": arguments.pictures, "cycles": arguments.cycles, "load_average": [before, os.getloadavg()]}
        result = {"command": " ".join(["python", *sys.argv]), "environment": environment, **sizes, "fits": table}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(arguments.check and not all(map(is_same, table.values())))


if __name__ == "__main__":
    sys.exit(main())
