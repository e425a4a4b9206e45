"""Claim: beside X a fit holds one array (n, K) and a few numbers a row: 1M x 10 in 1.5 GB, 100k x 1000 in 1 GB.

Each cell runs in a process of its own: vectors of 50 numbers, one warm-up epoch and one cycle of tiny nets, then the
prediction of 100,000 rows. Peak resident memory is reset when the fit begins (Linux), so that the making of X does not
count. "beyond X" is the peak less the bytes of X, imports included; "beyond start" is the peak less what the process
held when the fit began, which was X and imports: the bars are for this. Cells that the file has are not run again.

    python examples/benchmarks/memory_table.py --json memory_table.json
    python examples/benchmarks/memory_table.py --rows 60000 --classes 10 --json small.json --check
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

D = 50
BARS = {(1_000_000, 10): 1.5e9, (100_000, 1000): 1e9}


def resident(name: str) -> int:
    """Bytes of a line of /proc/self/status: VmRSS, or VmHWM, its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def peak_of(work: Any) -> tuple[float, float]:
    """Peak of resident memory while ``work`` runs, and its seconds."""
    Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    work()
    return resident("VmHWM"), time.perf_counter() - start


def cell(n: int, k: int, kind: str, n_folds: str) -> dict[str, Any]:
    """Fit ``n`` rows of ``k`` classes in this process."""
    import numpy as np
    import torch
    from skorch import NeuralNetClassifier
    from torch import nn
    from torch.utils.data import TensorDataset

    from noisyflywheel import FlywheelClassifier
    from noisyflywheel.backbones import MLP

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    y = rng.integers(0, k, n)
    X: Any = rng.standard_normal((n, D), dtype=np.float32)
    X += rng.standard_normal((k, D), dtype=np.float32)[y]
    size = X.nbytes
    if kind == "dataset":
        X = TensorDataset(torch.from_numpy(X))
    net = NeuralNetClassifier(
        MLP, module__hidden=(16,), criterion=nn.CrossEntropyLoss, lr=0.05, batch_size=1024, train_split=None
    )
    folds = n_folds if n_folds == "auto" else int(n_folds)
    clf = FlywheelClassifier(
        None if folds != 1 else net, n_warmup_epochs=1, n_cycles=1, n_folds=folds, device="cpu", random_state=0
    )
    start = resident("VmRSS")
    peak, seconds = peak_of(lambda: clf.fit(X, y))
    row = clf.history_.iloc[0]
    kept = resident("VmRSS")
    of_predict, _ = peak_of(lambda: clf.predict_proba(X[:100_000] if kind == "vectors" else X))
    return {
        "rows": n,
        "classes": k,
        "kind": kind,
        "n_folds": n_folds,
        "x_mb": size / 1e6,
        "beyond_x_mb": (peak - size) / 1e6,
        "beyond_start_mb": (peak - start) / 1e6,
        "predict_beyond_fitted_mb": (of_predict - kept) / 1e6,
        "fit_seconds": seconds,
        "cycle_seconds": float(sum(row[name] for name in row.index if name.endswith("_seconds"))),
    }


def run(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All cells, those of the file first."""
    found: list[dict[str, Any]] = []
    if arguments.json and arguments.json.exists():
        found = json.loads(arguments.json.read_text(encoding="utf-8"))["cells"]
    done = {(cell["rows"], cell["classes"], cell["kind"], cell["n_folds"]) for cell in found}
    for n in arguments.rows:
        for k in arguments.classes:
            key = (n, k, arguments.kind, arguments.n_folds)
            if key not in done:
                found.append(in_subprocess(*key))
                write(found, arguments)
    return found


def in_subprocess(n: int, k: int, kind: str, n_folds: str) -> dict[str, Any]:
    """`cell` in a process of its own."""
    flags = ["--rows", str(n), "--classes", str(k), "--kind", kind, "--n-folds", n_folds]
    command = [sys.executable, "-W", "ignore", __file__, "--one", *flags]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{n:>9,} x {k:>5}: beyond X {found['beyond_x_mb']:8.0f} MB, beyond start {found['beyond_start_mb']:8.0f} MB, "
        f"predict {found['predict_beyond_fitted_mb']:8.0f} MB, {found['fit_seconds']:.0f} s",
        flush=True,
    )
    return found


def write(found: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    """The cells so far."""
    if arguments.json is None:
        return
    environment = {"python": platform.python_version(), "torch": version("torch"), "numpy": version("numpy")}
    environment["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    result = {"command": "python examples/benchmarks/memory_table.py", "environment": environment, "cells": found}
    arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[60_000, 100_000, 1_000_000])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--kind", choices=("vectors", "dataset"), default="vectors")
    parser.add_argument("--n-folds", default="1", help="1, or auto for the default nets")
    parser.add_argument("--json", type=Path, help="write the cells here, and go on from there")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(cell(arguments.rows[0], arguments.classes[0], arguments.kind, arguments.n_folds)))
        return 0
    print(__doc__.splitlines()[0])
    found = run(arguments)
    missed = [c for c in found if c["beyond_start_mb"] * 1e6 > BARS.get((c["rows"], c["classes"]), float("inf"))]
    for c in missed:
        print(f"bar missed: {c['rows']} x {c['classes']}, {c['kind']}, n_folds={c['n_folds']}")
    return int(arguments.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
