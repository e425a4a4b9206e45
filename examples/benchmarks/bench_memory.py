"""Claim: images stay uint8: from 2,000 to 20,000 images of 32x32x3, peak memory grows by at most twice their bytes.

Each fit runs in a process of its own, one warm-up epoch and one cycle with a tiny net; its peak resident memory is
what the system says at the end (`getrusage`). The growth holds the images themselves, so one more copy of them, or a
quarter of them as float32, uses up the bar. One thread.

    python examples/benchmarks/bench_memory.py
    python examples/benchmarks/bench_memory.py --default-net --repeats 3 --json memory.json --check
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BAR = 2.0
SIZES = (2_000, 20_000)
SHAPE = (32, 32, 3)


def fit(n: int, default_net: bool, no_fit: bool) -> dict[str, float]:
    """Fit n images in this process; peak memory in bytes, seconds of the fit."""
    import numpy as np
    import torch
    from skorch import NeuralNetClassifier
    from torch import nn

    from noisyflywheel import FlywheelClassifier
    from noisyflywheel.backbones import SmallResNet

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    y = rng.integers(0, 10, n)
    net = NeuralNetClassifier(
        SmallResNet,
        module__width=2,
        module__n_stages=2,
        criterion=nn.CrossEntropyLoss,
        lr=0.01,
        batch_size=64,
        train_split=None,
    )
    start = time.perf_counter()
    clf = FlywheelClassifier(
        None if default_net else net, n_warmup_epochs=1, n_cycles=1, guard=False, device="cpu", random_state=0
    )
    if not no_fit:
        clf.fit(X, y)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"peak": float(peak), "seconds": time.perf_counter() - start}


def in_subprocess(n: int, arguments: argparse.Namespace) -> dict[str, float]:
    """`fit` in a process of its own."""
    flags = ["--default-net"] * arguments.default_net + ["--no-fit"] * arguments.no_fit
    command = [sys.executable, __file__, "--fit", str(n), *flags]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Median peaks of both sizes, and their difference in units of the added images."""
    runs = {n: [in_subprocess(n, arguments) for _ in range(arguments.repeats)] for n in SIZES}
    peaks = {n: statistics.median(run["peak"] for run in runs[n]) for n in SIZES}
    image = SHAPE[0] * SHAPE[1] * SHAPE[2]
    added = (SIZES[1] - SIZES[0]) * image
    return {
        "images": SIZES,
        "peak_mb": [peaks[n] / 1e6 for n in SIZES],
        "seconds": [statistics.median(run["seconds"] for run in runs[n]) for n in SIZES],
        "growth_mb": (peaks[SIZES[1]] - peaks[SIZES[0]]) / 1e6,
        "added_images_mb": added / 1e6,
        "ratio": (peaks[SIZES[1]] - peaks[SIZES[0]]) / added,
        "net": "default" if arguments.default_net else "tiny",
        "repeats": arguments.repeats,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--default-net", action="store_true", help="the library's own net instead of a tiny one")
    parser.add_argument("--no-fit", action="store_true", help="make the images only: the floor of the ratio")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the bar is missed")
    parser.add_argument("--fit", type=int, metavar="N", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        print(json.dumps(fit(arguments.fit, arguments.default_net, arguments.no_fit)))
        return 0
    from importlib.metadata import version

    versions = {"python": platform.python_version(), "torch": version("torch"), "numpy": version("numpy")}
    versions["machine"] = f"{platform.system()} {platform.machine()}"
    print(__doc__.splitlines()[0])
    print(", ".join(f"{name} {value}" for name, value in versions.items()))
    found = measure(arguments)
    for n, peak, seconds in zip(found["images"], found["peak_mb"], found["seconds"], strict=True):
        print(f"{n:>7,} images: peak {peak:7.1f} MB, {seconds:.1f} s")
    print(f"growth {found['growth_mb']:.1f} MB for {found['added_images_mb']:.1f} MB of images")
    print(f"ratio {found['ratio']:.2f}, bar {BAR}")
    if arguments.json:
        result = {"command": " ".join(["python", *sys.argv]), "environment": versions, **found}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(arguments.check and found["ratio"] > BAR)


if __name__ == "__main__":
    sys.exit(main())
