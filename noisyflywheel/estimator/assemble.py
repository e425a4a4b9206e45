"""From parameters and rows to a flywheel that is ready to turn, everything checked before any training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.data import as_row, float64_device
from noisyflywheel.estimator.inputs import make_source, sample_rows
from noisyflywheel.estimator.parameters import make_settings
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.nets import Trainer, check_forward, prepare_net
from noisyflywheel.nets.devices import check_same_device
from noisyflywheel.nets.prepare import check_net, default_net
from noisyflywheel.views.adapter import ViewAdapter
from noisyflywheel.views.images import ImageViews
from noisyflywheel.views.vectors import VectorViews

SAMPLE_NUMBERS = 10_000_000
"""Views and standardisation learn their scale from at most as many rows as hold so many numbers."""


def draw_seeds(random_state: Any) -> list[int]:
    """Three seeds: of g, of f, and of the loop. None takes fresh entropy and leaves numpy's global state."""
    if random_state is None:
        return [int(s) for s in np.random.SeedSequence().generate_state(3, np.uint32)]
    drawn = check_random_state(random_state).randint(0, 2**31 - 1, size=3)
    return [int(s) for s in drawn]


def resolve_device(device: Any) -> str:
    """The device of default nets."""
    if str(device) != "auto":
        return str(device)
    return "cuda" if torch.cuda.is_available() else "cpu"


def build(estimator: Any, rows: Any, codes: NDArray[np.int64], n_classes: int, seeds: list[int]) -> Flywheel:
    """Nets, views and source, checked against each other before any training."""
    p = estimator.get_params(deep=False)
    image = first_row(rows).ndim > 1
    settings = make_settings(p, image)
    device = resolve_device(p["device"])
    nets = _choose_nets(p, rows, device)
    net_is_default = p["main_net"] is None and p["aux_net"] is None
    own_device = None if str(p["device"]) == "auto" else device
    check_same_device(*nets, own_device)
    home = torch.device(own_device or nets[1].device or device)
    source = make_source(rows, home)
    sample = sample_rows(source, max(100, SAMPLE_NUMBERS // first_row(rows).numel()))
    views = ViewAdapter(default_views(p["views"], sample), sample)
    amp = image and bf16_pays(home)
    trainers = []
    for net, name, seed in zip(nets, ("main_net", "aux_net"), seeds, strict=False):
        torch.manual_seed(seed)
        ready = prepare_net(net, widths(sample, n_classes), own_device, image)
        if hasattr(ready.module_, "adapt"):
            ready.module_.adapt(views.plain(sample).to(home))
        trainer = Trainer(ready, amp, p["feature_layer"], scheduled=net_is_default)
        check_forward(trainer, views.plain(sample[:2]), n_classes, name)
        trainers.append(trainer)
        if not settings.refurbish:
            trainers.append(trainer)
            break
    main, aux = trainers
    given = torch.from_numpy(codes).to(float64_device(home))
    return Flywheel(main, aux, views, source, given, n_classes, settings, seeds[2])


def _choose_nets(p: dict[str, Any], rows: Any, device: str) -> tuple[Any, Any]:
    """g and f before cloning: the user's, a clone of the one given, or the defaults."""
    for name in ("main_net", "aux_net"):
        if p[name] is not None:
            check_net(p[name], name)
    main, aux = p["main_net"] or p["aux_net"], p["aux_net"] or p["main_net"]
    if main is None:
        image = first_row(rows).ndim > 1
        main, aux = (default_net(image, len(rows), device, auxiliary) for auxiliary in (False, True))
    return main, aux


def first_row(rows: Tensor | Dataset) -> Tensor:
    """The first row: (d,) or (C, H, W)."""
    return rows[0] if isinstance(rows, Tensor) else as_row(rows[0])


def default_views(views: Any, sample: Tensor) -> Any:
    """The view object for ``views="auto"``: by the number of dimensions of a batch."""
    if not (isinstance(views, str) and views == "auto"):
        return views
    if sample.ndim == 4:
        return ImageViews()
    return VectorViews()


def bf16_pays(device: torch.device) -> bool:
    """Whether bf16 autocast is faster there: CUDA from Ampere on, CPUs with bf16 instructions."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def widths(sample: Tensor, n_classes: int) -> dict[str, int]:
    """What `prepare_net` fills in: of vectors the number of features, of images the number of channels."""
    if sample.ndim == 2:
        return {"n_features": sample.shape[1], "n_classes": n_classes}
    return {"n_features": sample[0].numel(), "n_classes": n_classes, "in_channels": sample.shape[1]}
