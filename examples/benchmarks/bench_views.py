"""Time the batched image views beside the usual loop that augments one PIL picture after the other.

Claim: on one CPU core, for pictures of 32x32x3 in 8 bits, a weak view takes at most 15 microseconds and a
strong view (two RandAugment operations) at most 60, normalisation included.  Both forms run in the same
process, in turn, on the same synthetic pictures.  On the CPU the thread's own processor time counts, so that
other work on the machine does not; the best of several repeats.

    python examples/benchmarks/bench_views.py
    python examples/benchmarks/bench_views.py --device cuda --batch 4096
"""

import argparse
import time
from collections.abc import Callable

import PIL
import torch
import torchvision
from machine import processor
from torchvision.transforms import v2

from noisyflywheel.views import ImageViews

BARS = {"weak": 15.0, "strong": 60.0}  # microseconds per picture on one CPU core


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=256, help="pictures per call")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--loop-images", type=int, default=256, help="pictures for the one-by-one loop")
    parser.add_argument("--check", action="store_true", help="exit with an error where a bar is missed")
    return parser.parse_args()


def best_time(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Return the shortest of `repeats` runs in seconds, after one run to warm up."""
    clock = time.perf_counter if device.type == "cuda" else time.thread_time
    best = float("inf")
    for i in range(repeats + 1):
        start = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if i > 0:
            best = min(best, clock() - start)
    return best


def one_by_one(views: ImageViews, strong: bool) -> v2.Compose:
    """Build the pipeline that public training code uses: PIL picture in, normalised tensor out."""
    steps = [v2.RandomCrop(32, padding=views.pad_), v2.RandomHorizontalFlip()]
    if strong:
        steps.append(v2.RandAugment(num_ops=views.n_ops, magnitude=views.magnitude))
    finish = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    return v2.Compose(steps + finish + [v2.Normalize(views.mean_.tolist(), views.std_.tolist())])


def main() -> None:
    args = parse()
    torch.set_num_threads(1)
    device = torch.device(args.device)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (args.batch, 3, 32, 32), generator=generator, dtype=torch.uint8)
    views = ImageViews().fit(pixels)
    batch = pixels.to(device)
    pictures = [v2.functional.to_pil_image(p) for p in pixels[: args.loop_images]]
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{processor()}, 1 thread"
    print(__doc__.split("\n\n")[1].replace("\n", " "))
    print(f"\ndevice: {name}; batches of {args.batch}; best of {args.repeats}")
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}\n")
    print(f"{'view':8}{'batched':>14}{'one by one':>14}{'ratio':>8}{'bar':>14}   (microseconds per picture)")
    missed = []
    for kind, bar in BARS.items():
        view = getattr(views, kind)
        pipeline = one_by_one(views, kind == "strong")
        ours = best_time(lambda view=view: view(batch, generator), args.repeats, device) / len(batch) * 1e6
        loop = best_time(lambda pipeline=pipeline: [pipeline(p) for p in pictures], 3, torch.device("cpu"))
        loop = loop / len(pictures) * 1e6
        print(f"{kind:8}{ours:14.2f}{loop:14.1f}{loop / ours:7.1f}x{bar:14.0f}")
        missed += [kind] if ours > bar else []
    if args.check and missed:
        raise SystemExit(f"missed the bar: {', '.join(missed)}")


if __name__ == "__main__":
    main()
