"""Claim: with workers a cycle on a folder of JPEGs takes at most 1/1.6 of the time that it takes without, on 2 cores.

The script makes the pictures (noise smoothed to a photograph's spectrum, quality 90) in a temporary folder, one folder
per class. Each fit runs in a process of its own: one warm-up epoch and two cycles of a small ResNet on one thread; the
second cycle counts, when workers have started and files are in the page cache. Results must be equal to the last bit
for every number of workers.

    python examples/benchmarks/bench_workers.py --json workers.json
    python examples/benchmarks/bench_workers.py --n 2000 --workers 0 2 --check
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

BAR = 1.6
N_CLASSES = 4
PACKAGES = ("torch", "torchvision", "skorch", "numpy", "pillow")


def make_folder(folder: Path, n: int, side: int) -> None:
    """``n`` JPEGs of ``side`` pixels in `N_CLASSES` folders; classes differ in colour."""
    rng = np.random.default_rng(0)
    tints = rng.integers(60, 196, (N_CLASSES, 3))
    for i in range(n):
        coarse = rng.normal(0, 40, (side // 8, side // 8, 3))
        picture = np.kron(coarse, np.ones((8, 8, 1))) + rng.normal(0, 8, (side // 8 * 8, side // 8 * 8, 3))
        pixels = np.clip(picture + tints[i % N_CLASSES], 0, 255).astype(np.uint8)
        path = folder / f"class{i % N_CLASSES}" / f"{i:06}.jpg"
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(pixels).save(path, quality=90)


def fit(folder: Path, n_workers: int, pixels: int, width: int) -> dict[str, Any]:
    """Seconds of the second cycle, of its steps, and a digest of the result."""
    import hashlib

    import torch
    from skorch import NeuralNetClassifier
    from torch import nn

    from noisyflywheel import FlywheelClassifier
    from noisyflywheel.backbones import SmallResNet
    from noisyflywheel.datasets import load_image_folder
    from noisyflywheel.noise import symmetric

    torch.set_num_threads(1)
    data = load_image_folder(folder, size=pixels, lazy=True, verify=False)
    given = symmetric(data.y, 0.2, random_state=0)
    workers = {"iterator_train__num_workers": n_workers}
    net = NeuralNetClassifier(
        SmallResNet,
        module__width=width,
        criterion=nn.CrossEntropyLoss,
        lr=0.02,
        batch_size=64,
        train_split=None,
        **workers,
    )
    clf = FlywheelClassifier(net, n_warmup_epochs=1, n_cycles=2, guard=False, device="cpu", random_state=0)
    row = clf.fit(data.X, given).history_.iloc[-1]
    steps = {name: float(row[name]) for name in row.index if name.endswith("_seconds")}
    digest = hashlib.sha256(clf.clean_proba_.tobytes()).hexdigest()[:16]
    return {"cycle_seconds": sum(steps.values()), "steps": steps, "digest": digest}


def in_subprocess(folder: Path, n_workers: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """`fit` in a process of its own."""
    sizes = ["--pixels", str(arguments.pixels), "--width", str(arguments.width)]
    command = [sys.executable, __file__, "--fit", str(folder), "--workers", str(n_workers), *sizes]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """All numbers of workers in turn, as often as asked for; of each the fastest cycle."""
    runs: dict[int, list[dict[str, Any]]] = {n: [] for n in arguments.workers}
    with tempfile.TemporaryDirectory() as name:
        make_folder(Path(name), arguments.n, arguments.side)
        for _ in range(arguments.repeats):
            for n_workers in arguments.workers:
                runs[n_workers].append(in_subprocess(Path(name), n_workers, arguments))
                print(f"{n_workers} workers: {runs[n_workers][-1]['cycle_seconds']:.1f} s a cycle", flush=True)
    seconds = {n: min(run["cycle_seconds"] for run in found) for n, found in runs.items()}
    return {
        "pictures": arguments.n,
        "side": arguments.side,
        "pixels": arguments.pixels,
        "width": arguments.width,
        "repeats": arguments.repeats,
        "cycle_seconds": seconds,
        "ratio": {n: seconds[0] / value for n, value in seconds.items() if 0 in seconds},
        "equal_results": len({run["digest"] for found in runs.values() for run in found}) == 1,
        "load_average": os.getloadavg(),
        "runs": runs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000, help="pictures")
    parser.add_argument("--side", type=int, default=256, help="pixels a side of the JPEGs")
    parser.add_argument("--pixels", type=int, default=32, help="pixels a side that the net sees")
    parser.add_argument("--width", type=int, default=8, help="of the ResNet")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the bar is missed")
    parser.add_argument("--fit", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit:
        print(json.dumps(fit(arguments.fit, arguments.workers[0], arguments.pixels, arguments.width)))
        return 0
    environment = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    environment["machine"] = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    print(__doc__.splitlines()[0])
    print(", ".join(f"{name} {value}" for name, value in environment.items()))
    found = measure(arguments)
    best = max(found["ratio"].values(), default=0.0)
    print(f"ratio {best:.2f}, bar {BAR}; results equal: {found['equal_results']}; load {found['load_average'][0]:.1f}")
    if arguments.json:
        result = {"command": " ".join(["python", *sys.argv]), "environment": environment, **found}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(arguments.check and (best < BAR or not found["equal_results"]))


if __name__ == "__main__":
    sys.exit(main())
