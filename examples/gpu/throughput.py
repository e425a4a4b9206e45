"""Part 3: inference on 10,000 pictures, views per second, and pictures on the device against a DataLoader.

The paper takes .97 s for the inference of 10,000 pictures (Table 7); the goal here is .06 s.
"""

import time
from typing import Any

import torch
from context import Context, seconds_of, synchronize
from cycle import SMALL
from pictures import synthetic
from plain_cycle import Pictures as PilPictures
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from noisyflywheel import recipes
from noisyflywheel.data import ArraySource
from noisyflywheel.views import ImageViews

CHUNK = 1024
"""Rows whose views are made in one call, as the loop does."""


def inference(context: Context) -> dict[str, Any]:
    """Seconds of ``predict`` on pictures in host memory, the labels back on the host: the first call and the best."""
    n = context.sizes["test"]
    X, y = synthetic(n)
    fitted = X[: min(n, 1000)]
    settings = {"n_warmup_epochs": 0, "n_cycles": 1, "device": context.device.type, "random_state": 0}
    estimator = recipes.cifar10(**settings, **(SMALL if context.tiny else {})).fit(fitted, y[: len(fitted)])
    taken = seconds_of(lambda: estimator.predict(X), context.device, 6)
    return {"pictures": n, "first_seconds": taken[0], "best_seconds": min(taken[1:])}


def views(context: Context) -> dict[str, Any]:
    """Pictures per second of each view by the size of a batch, and of the same views one PIL picture at a time."""
    sizes = (64,) if context.tiny else (1024, 4096, 16384)
    X, _ = synthetic(max(sizes))
    x = torch.from_numpy(X).permute(0, 3, 1, 2)
    made = ImageViews().fit(x[:1024])
    generator = torch.Generator().manual_seed(0)
    found: dict[str, Any] = {}
    for kind in ("weak", "strong"):
        view, pipeline = getattr(made, kind), one_by_one(made, kind == "strong")
        rates = {}
        for size in sizes:
            batch = x[:size].to(context.device)
            taken = seconds_of(lambda view=view, batch=batch: view(batch, generator), context.device, 6)
            rates[str(size)] = size / min(taken[1:])
        few = [v2.functional.to_pil_image(picture) for picture in x[:64]]
        start = time.perf_counter()
        for picture in few:
            pipeline(picture)
        found[kind] = rates | {"one by one": len(few) / (time.perf_counter() - start)}
    return found


def one_by_one(made: ImageViews, strong: bool) -> v2.Compose:
    """The usual pipeline: PIL picture in, normalised tensor out."""
    steps = [v2.RandomCrop(32, padding=made.pad_), v2.RandomHorizontalFlip()]
    steps += [v2.RandAugment(num_ops=made.n_ops, magnitude=made.magnitude)] if strong else []
    finish = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True)]
    return v2.Compose([*steps, *finish, v2.Normalize(made.mean_.tolist(), made.std_.tolist())])


def resident(context: Context) -> dict[str, Any]:
    """Weakly augmented pictures per second, ready on the device in batches, from three places.

    8-bit pictures that live on the device; the same in host memory, gathered in pinned memory and moved chunk by chunk,
    as a fit does with them; PIL pictures in the workers of a DataLoader.
    """
    n, batch, device = context.sizes["pictures"], context.sizes["batch"], context.device
    x = torch.from_numpy(synthetic(n)[0]).permute(0, 3, 1, 2)
    made = ImageViews().fit(x[:1024])
    there, host = ArraySource(x, device), ArraySource(x, device)
    host.x = x  # as where they do not fit on the device
    generator = torch.Generator().manual_seed(0)

    def one_pass(source: ArraySource) -> None:
        for pictures in source.stream(torch.randperm(n, generator=generator).split(CHUNK)):
            made.weak(pictures, generator).split(batch)

    found: dict[str, Any] = {"pictures": n, "workers": context.sizes["workers"]}
    for name, source in (("on the device", there), ("pinned host memory", host)):
        found[name] = n / min(seconds_of(lambda source=source: one_pass(source), device, 3)[1:])
    return found | {"loader": loader_rate(context, x)}


def loader_rate(context: Context, x: torch.Tensor) -> float:
    """Pictures per second out of a DataLoader whose workers live on, its second pass."""
    few = x[: context.sizes["reference"]].numpy()
    keep = {"persistent_workers": context.sizes["workers"] > 0, "pin_memory": context.device.type == "cuda"}
    data = PilPictures(few, ("weak",))
    loader = DataLoader(data, context.sizes["batch"], True, num_workers=context.sizes["workers"], **keep)

    def one_pass() -> None:
        for _, made in loader:
            made.to(context.device, non_blocking=True)
        synchronize(context.device)

    return len(few) / min(seconds_of(one_pass, context.device, 3)[1:])
