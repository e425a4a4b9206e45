"""Part 2: what a cycle of PreAct ResNet-18 on 50,000 pictures costs, by step and by way of running it.

Every variant is a fit through the public estimator; seconds are those of ``history_`` and of the callback
``on_cycle``. The views are timed inside the cycle by events on the device, which wait for nothing. Floating-point
operations are counted on a few rows: convolutions and matrix products, forward and backward.

The reference does the same passes in the same process as public code of this field does: pictures augmented one by
one by torchvision on PIL pictures in the workers of a DataLoader, eager fp32.
"""

import time
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from context import Context, median_of, synchronize
from pictures import synthetic
from plain_cycle import Pictures as PilPictures
from plain_cycle import PlainCycle
from skorch.callbacks import Callback
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from noisyflywheel import FlywheelClassifier, recipes
from noisyflywheel.backbones import PreActResNet18, SmallResNet
from noisyflywheel.views import ImageViews

STEPS = ("main_e", "auxiliary_e", "auxiliary_m", "resample", "main_m")
COUNTED = 256
"""Rows whose floating-point operations are counted."""


class Nchw(PreActResNet18):
    """The net on pictures and weights in the usual order of memory."""

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Features of pictures made contiguous first."""
        return super().forward_features(x.contiguous())


class UsualOrder(Callback):
    """Brings the weights back to the usual order of memory before the training."""

    def on_train_begin(self, net: Any, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Reorder the weights."""
        net.module_.to(memory_format=torch.contiguous_format)


class Compiled(PreActResNet18):
    """The stages, nearly all of the net, through `torch.compile`, in place: saved weights keep their names."""

    def __init__(self, n_classes: int = 10, in_channels: int = 3, mode: str | None = None) -> None:
        super().__init__(n_classes, in_channels)
        self.stages.compile(mode=mode)


class CompiledSmall(SmallResNet):
    """The small net through dynamo alone: shows that a compiled net runs, not how fast."""

    def __init__(self, n_classes: int = 10, in_channels: int = 3, width: int = 8, n_stages: int = 2) -> None:
        super().__init__(n_classes, in_channels, width, n_stages)
        self.stages.compile(backend="eager")


def configure(estimator: FlywheelClassifier, params: dict[str, Any]) -> None:
    """Set parameters of a recipe, a net before its own parameters; callbacks join those of the recipe."""
    for key in sorted(params, key=lambda key: key.count("__")):
        added = key == "main_net__callbacks"
        estimator.set_params(**{key: [*estimator.main_net.callbacks, *params[key]] if added else params[key]})


FUSED = {"main_net__optimizer__fused": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "eager": {},
    "fused optimizer": FUSED,
    "usual memory order": {"main_net__module": Nchw, "main_net__callbacks": [("order", UsualOrder())]},
    "cudnn benchmark": FUSED | {"benchmark": True},
    "compile": FUSED | {"main_net__module": Compiled},
    "compile, CUDA graphs": FUSED | {"main_net__module": Compiled, "main_net__module__mode": "reduce-overhead"},
    "compile, batch 512": FUSED | {"main_net__module": Compiled, "main_net__batch_size": 512},
}
SMALL = {
    "main_net__module": SmallResNet,
    "main_net__module__width": 8,
    "main_net__module__n_stages": 2,
    "main_net__batch_size": 32,
}
"""The net of the tiny scale, which stands in for every module."""


class TimedViews(ImageViews):
    """The default views with a clock on each call: events on a GPU, seconds elsewhere."""

    spans: ClassVar[list[Any]] = []

    def weak(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """As `ImageViews.weak`."""
        return self._timed(super().weak, x, generator)

    def strong(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """As `ImageViews.strong`."""
        return self._timed(super().strong, x, generator)

    def _timed(self, view: Any, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        begin = _mark(x.device)
        made = view(x, generator)
        self.spans.append((begin, _mark(x.device)))
        return made


def _mark(device: torch.device) -> Any:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def views_seconds(device: torch.device) -> float:
    """Seconds in views since the last call."""
    spans, TimedViews.spans = TimedViews.spans, []
    synchronize(device)
    if device.type == "cuda":
        return sum(begin.elapsed_time(end) for begin, end in spans) / 1e3
    return sum(end - begin for begin, end in spans)


class Watch:
    """Callback of a fit: wall-clock seconds of each cycle, its steps and its views."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.rows, self.flop = device, [], []
        self.counter: FlopCounterMode | None = None
        self.last = time.perf_counter()

    def __call__(self, wheel: Any, row: dict[str, float]) -> None:
        """Take down one cycle."""
        synchronize(self.device)
        now = time.perf_counter()
        taken = {step: row[f"{step}_seconds"] for step in STEPS}
        self.rows.append(taken | {"views": views_seconds(self.device), "cycle": now - self.last})
        if self.counter is not None:
            self.flop.append(self.counter.get_total_flops())
        self.last = time.perf_counter()


def fit(context: Context, X: np.ndarray, y: np.ndarray, n_cycles: int, watch: Watch, params: dict[str, Any]) -> None:
    """The paper's form of the loop without a warm-up, which does not change what a cycle costs."""
    small = SMALL if context.tiny else {}
    if context.tiny and params.get("main_net__module") is Compiled:
        small = SMALL | {"main_net__module": CompiledSmall}
    params = {k: v for k, v in params.items() if not (context.tiny and k.startswith("main_net__module__"))} | small
    settings = {"n_warmup_epochs": 0, "n_cycles": n_cycles, "views": TimedViews(), "on_cycle": watch, "random_state": 0}
    estimator = recipes.cifar10(device=context.device.type, **settings)
    configure(estimator, params)
    views_seconds(context.device)
    estimator.fit(X, y)


def variant(context: Context, name: str) -> dict[str, Any]:
    """Seconds of a cycle, its share of the bf16 peak and the memory of one variant.

    What is measured beside the cycle of the eager form may fail, without a loss of the seconds.
    """
    params = dict(VARIANTS[name])
    torch.backends.cudnn.benchmark = params.pop("benchmark", False)
    X, y = synthetic(context.sizes["pictures"])
    if context.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    watch = Watch(context.device)
    fit(context, X, y, 1 + context.sizes["repeats"], watch, params)
    ours = median_of(watch.rows[1:])
    found = {"pictures": len(X), "cycle": ours, "first_cycle_seconds": watch.rows[0]["cycle"]}
    if context.device.type == "cuda":
        found["peak_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
    if name == "eager":
        found |= beside(
            flop=lambda: flop(context, len(X)),
            peak_flop_per_second=lambda: peak(context),
            reference=lambda: reference(context, ours["cycle"] / len(X)),
        )
    return found


def beside(**measures: Callable[[], Any]) -> dict[str, Any]:
    """What each of the measures finds; under "failed" the errors of those that fail, by their names."""
    found, failed = {}, {}
    for name, measure in measures.items():
        try:
            found[name] = measure()
        except Exception as error:
            traceback.print_exc()
            failed[name] = f"{type(error).__name__}: {error}"[-2000:]
    return found | ({"failed": failed} if failed else {})


def reference(context: Context, ours: float) -> dict[str, Any]:
    """The peer's cycle on fewer pictures, and how many times as long as ours it takes for each of them."""
    X, y = synthetic(context.sizes["reference"])
    net = SmallResNet if context.tiny else PreActResNet18
    workers = context.sizes["workers"]
    peer = Reference(net, X.transpose(0, 3, 1, 2).copy(), y, context.sizes["batch"], context.device, workers)
    taken = []
    for _ in range(1 + context.sizes["repeats"]):
        synchronize(context.device)
        start = time.perf_counter()
        peer.cycle()
        synchronize(context.device)
        taken.append(time.perf_counter() - start)
    seconds = float(np.median(taken[1:]))
    found = {"pictures": len(X), "seconds": seconds, "workers": workers, "ratio": seconds / len(X) / ours}
    return found


class Reference(PlainCycle):
    """The peer with loaders that live on: starting workers is not held against it."""

    def loader(self, *views: str, shuffle: bool = False) -> Any:
        """One loader for each kind of pass."""
        made = self.__dict__.setdefault("loaders", {})
        if (views, shuffle) not in made:
            keep = {"persistent_workers": self.workers > 0, "pin_memory": self.device.type == "cuda"}
            data = PilPictures(self.pixels, views)
            made[views, shuffle] = DataLoader(data, self.batch, shuffle, num_workers=self.workers, **keep)
        return made[views, shuffle]


def flop(context: Context, n: int) -> float:
    """Floating-point operations of one eager cycle on n rows, from a count on a few."""
    X, y = synthetic(64 if context.tiny else COUNTED)
    watch = Watch(context.device)
    with FlopCounterMode(display=False) as watch.counter:
        fit(context, X, y, 2, watch, {})
    return (watch.flop[1] - watch.flop[0]) / len(X) * n


def peak(context: Context) -> float:
    """What one large matrix product reaches here, best of several, FLOP/s: bf16 on a GPU, fp32 on a CPU."""
    m, dtype = (8192, torch.bfloat16) if context.device.type == "cuda" else (512, torch.float32)
    a, b = (torch.randn(m, m, device=context.device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        synchronize(context.device)
        start = time.perf_counter()
        a @ b
        synchronize(context.device)
        best = min(best, time.perf_counter() - start)
    return 2 * m**3 / best
