"""Time one cycle of the flywheel per step of Figure 2, beside a plain eager loop that does the same work.

Claim: with the views batched on the device, bf16 where the device has it and channels-last memory, one
cycle is at least twice as fast on a CPU of two cores (small ResNet), and four times on a GPU (PreAct
ResNet-18), as the usual loop: pictures augmented one by one by torchvision on PIL pictures in the workers
of a DataLoader, fp32, NCHW. Synthetic 8-bit pictures of CIFAR's shape; both forms in the same process, in
turn; medians.

Both make the passes of Figure 2: four forwards over the rows in the E-steps and the resampling, two weak
and two strong views through f and one weak view through g in the M-steps. Ours scores the labels on a weak
view as well, and takes f's prediction of step 4 for the next step 2.

    python examples/benchmarks/bench_cycle.py --n 2560
    python examples/benchmarks/bench_cycle.py --n 50000 --net preact18 --device cuda --workers 8
"""

import argparse
import json
import os
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from machine import device_name
from plain_cycle import PlainCycle
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from noisyflywheel import FlywheelClassifier
from noisyflywheel.backbones import PreActResNet18, SmallResNet
from noisyflywheel.estimator.job.assemble import untrained_flywheel

STEPS = {
    "E-step of g": "_e_step_main",
    "E-step of f": "_e_step_auxiliary",
    "M-step of f": "_m_step_auxiliary",
    "resampling": "_resample",
    "M-step of g": "_m_step_main",
}
NETS = {"small": SmallResNet, "preact18": PreActResNet18}
COUNTED = 256
"""Rows of the cycle whose floating-point operations are counted."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2560, help="pictures (the paper: 50,000)")
    parser.add_argument("--net", choices=NETS, default="small")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1), help="of the plain loop")
    parser.add_argument("--no-plain", action="store_true", help="leave the plain loop out")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--check", type=float, metavar="RATIO", help="fail where the ratio is below this")
    return parser.parse_args()


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def make_flywheel(args, pixels, labels):
    """A flywheel right after its initialisation; warm-up does not change what a cycle costs."""
    net = NeuralNetClassifier(
        NETS[args.net],
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=5e-4,
        lr=0.02,
        batch_size=args.batch,
        train_split=None,
        device=args.device,
    )
    literal = {"resample": "argmax", "calibrate": False, "cr_ramp": 0, "guard": False, "average_epochs": 0}
    losses = {"contrastive_weight": 0.025, "mixup_alpha": 4.0}
    fixed = {"n_warmup_epochs": 0, "n_cycles": 10**6, "device": args.device}
    estimator = FlywheelClassifier(net, **literal, **losses, **fixed)
    flywheel = untrained_flywheel(estimator, torch.from_numpy(pixels), labels, 10, [0, 1, 2])
    flywheel.start_cycles()
    for trainer in flywheel.trainers:
        trainer.begin()
    return flywheel


def timed(obj, device):
    """Wrap the steps of Figure 2 with a clock that waits for the device; returns the dict of seconds."""
    seconds = {}

    def clocked(label, inner):
        def step(*args):
            synchronize(device)
            start = time.perf_counter()
            value = inner(*args)
            synchronize(device)
            seconds[label] = seconds.get(label, 0.0) + time.perf_counter() - start
            return value

        return step

    for label, name in STEPS.items():
        setattr(obj, name, clocked(label, getattr(obj, name)))
    return seconds


def one_cycle(obj, seconds, device):
    """Seconds of one cycle: by step, and in all."""
    seconds.clear()
    synchronize(device)
    start = time.perf_counter()
    obj.cycle()
    synchronize(device)
    return dict(seconds) | {"cycle": time.perf_counter() - start}


def count_flop(obj):
    """Floating-point operations of one cycle: convolutions and matrix products, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        obj.cycle()
    return counter.get_total_flops()


def peak_flop(device, dtype):
    """The device's rate at one large matrix product: best of several, FLOP/s."""
    m = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(m, m, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        synchronize(device)
        start = time.perf_counter()
        a @ b
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * m**3 / best


def inference(flywheel, device):
    """Seconds of f's prediction for as many rows as CIFAR-10 has test pictures, or all: the best of three."""
    rows, best = flywheel.all_rows[:10_000], float("inf")
    for _ in range(3):
        synchronize(device)
        start = time.perf_counter()
        flywheel.loader.predict(flywheel.aux, rows)
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return {"inference_rows": len(rows), "inference_seconds": best}


def peak_memory(device):
    """GiB: allocated on the GPU at most, or held by this process at most."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def median_row(rows):
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def measure(args) -> dict:
    device = torch.device(args.device)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (args.n, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, args.n)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    flywheel = make_flywheel(args, pixels, labels)
    amp = flywheel.main.amp
    few = slice(0, COUNTED)
    small = make_flywheel(args, pixels[few], labels[few])
    flop = count_flop(small) / len(labels[few]) * args.n
    ours_seconds = timed(flywheel, device)
    one_cycle(flywheel, ours_seconds, device)  # to warm up
    memory = peak_memory(device)
    predicted = inference(flywheel, device)
    peaks = {str(dtype): peak_flop(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    plain, plain_seconds = None, {}
    if not args.no_plain:
        plain = PlainCycle(NETS[args.net], pixels, labels, args.batch, device, args.workers)
        plain_seconds = timed(plain, device)
    ours, theirs = [], []
    for _ in range(args.repeats):
        ours.append(one_cycle(flywheel, ours_seconds, device))
        if plain is not None:
            theirs.append(one_cycle(plain, plain_seconds, device))
    peak = peaks["torch.bfloat16" if amp else "torch.float32"]
    found = {"device": device_name(device), "torch": torch.__version__, "torchvision": torchvision.__version__}
    found |= {"net": args.net, "n": args.n, "batch": args.batch, "bf16": amp, "peak_memory_gib": memory}
    found |= {"flop": flop, "peak_flop_per_second": peak, "ours": median_row(ours)}
    found |= predicted
    if theirs:
        found["plain"] = median_row(theirs)
        found["ratio"] = statistics.median(b["cycle"] / a["cycle"] for a, b in zip(ours, theirs, strict=True))
        found["workers"] = args.workers
    return found


def show(found: dict) -> None:
    ours, plain, n = found["ours"], found.get("plain"), found["n"]
    print(__doc__.split("\n\n")[1].replace("\n", " "))
    print(f"\n{found['device']}; torch {found['torch']}, torchvision {found['torchvision']}")
    print(f"{n:,} pictures, {found['net']} net, batch {found['batch']}, {'bf16' if found['bf16'] else 'fp32'}\n")
    print(f"{'step of Figure 2':18}{'ours, s':>10}" + (f"{'plain, s':>10}{'ratio':>8}" if plain else ""))
    for label in [*STEPS, "cycle"]:
        line = f"{label:18}{ours[label]:10.3f}"
        ratio = f"{plain[label] / ours[label]:7.1f}x" if plain and ours[label] > 1e-3 else ""
        print(line + (f"{plain[label]:10.3f}{ratio}" if plain else ""))
    rate = found["flop"] / ours["cycle"]
    print(f"\n{n / ours['cycle']:,.0f} pictures/s through a cycle; {found['flop'] / n / 1e9:.2f} GFLOP each")
    share = rate / found["peak_flop_per_second"]
    print(f"{rate / 1e12:.3f} TFLOP/s, {share:.0%} of what one large matrix product reaches here")
    print(f"{found['peak_memory_gib']:.2f} GiB at most, before the plain loop (GPU: allocated; CPU: the process)")
    print(f"inference on {found['inference_rows']:,} pictures: {found['inference_seconds']:.3f} s")
    if plain:
        print(f"the plain loop takes {found['ratio']:.2f} times as long (median of pairs)")


def main() -> None:
    args = parse()
    torch.set_num_threads(args.threads)
    found = measure(args)
    show(found)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if args.check and found.get("ratio", args.check) < args.check:
        raise SystemExit(f"missed the bar: {found['ratio']:.2f} < {args.check}")


if __name__ == "__main__":
    main()
