"""From parameters and rows to a flywheel that is ready to turn, everything checked before any training."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from torch import Tensor
from torch.utils.data import Dataset

from noisyflywheel.backbones.encodings import count_bins
from noisyflywheel.data import as_row, float64_device, map_items
from noisyflywheel.estimator.auto.defaults import choose_n_folds, make_settings
from noisyflywheel.estimator.inputs.rows import make_source, read_some
from noisyflywheel.estimator.inputs.sample_weight import WeightedRows
from noisyflywheel.estimator.job.random_states import seed_global
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.large import LARGE, LargeFlywheel
from noisyflywheel.loop.loader import ViewLoader
from noisyflywheel.loop.with_folds.out_of_fold import OutOfFoldFlywheel
from noisyflywheel.nets import Trainer, check_forward, prepare_net
from noisyflywheel.nets.check import check_own_files, check_own_weights, naming_rows
from noisyflywheel.nets.devices import check_device_is_there, check_same_device, net_device
from noisyflywheel.nets.lookups import check_ids
from noisyflywheel.nets.parallel.join import cuda_index
from noisyflywheel.nets.parallel.ranks import ALONE, Ranks
from noisyflywheel.nets.prepare import check_net, default_net
from noisyflywheel.nets.workers import worker_options
from noisyflywheel.views.adapter import ViewAdapter
from noisyflywheel.views.images import ImageViews
from noisyflywheel.views.vectors import VectorViews

SAMPLE_NUMBERS = 10_000_000
"""Most numbers, rows times features, in the `Sample` from which views, standardisation and "auto" learn."""


class Nets(NamedTuple):
    """g and f before cloning, and where they will run."""

    main: NeuralNet
    aux: NeuralNet
    are_default: bool
    """Whether they were built here."""
    n_folds: int
    """Members a family of a stack; 1 for plain nets."""
    device: str | None
    """Overrides the nets' own; None leaves it."""

    @property
    def home(self) -> torch.device:
        """Where rows and state live: f's device."""
        return net_device(self.aux) if self.device is None else torch.device(self.device)

    @property
    def devices(self) -> list[torch.device]:
        """Every device that takes part."""
        return [self.home, net_device(self.main) if self.device is None else torch.device(self.device)]


def choose_nets(params: dict[str, Any], image: bool, n_rows: int, n_folds: int = 1, distributed: bool = False) -> Nets:
    """The user's nets, the one given twice, or the defaults for these rows.

    Parameters
    ----------
    params : dict
        Parameters of the classifier.
    image : bool
        Whether rows are images.
    n_rows : int
        Rows that take part.
    n_folds : int
        Above 1 the defaults are stacks of members.
    distributed : bool
        Whether several processes share the fit.

    Raises
    ------
    TypeError, ValueError
        If a net cannot be driven (`check_net`), or both are not on one device that is there.
    """
    for name in ("main_net", "aux_net"):
        if params[name] is not None:
            check_net(params[name], name)
    device = resolve_device(params["device"], distributed)
    own_device = None if str(params["device"]) == "auto" else device
    main, aux = params["main_net"] or params["aux_net"], params["aux_net"] or params["main_net"]
    if main is not None:
        for name, net in (("main_net", main), ("aux_net", aux)) if own_device is None else ():
            check_device_is_there(name, net_device(net))
        check_same_device(main, aux, own_device)
        return Nets(main, aux, False, 1, own_device)
    main, aux = (default_net(image, n_rows, device, auxiliary, n_folds) for auxiliary in (False, True))
    return Nets(main, aux, True, n_folds, own_device)


def resolve_device(device: Any, distributed: bool = False) -> str:
    """The device of default nets; ``distributed`` where each rank has one of its own."""
    if str(device) != "auto":
        return str(device)
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{cuda_index()}" if distributed else "cuda"


def assemble(
    params: dict[str, Any],
    nets: Nets,
    data: WeightedRows,
    n_classes: int,
    seeds: list[int],
    sample: Tensor,
    ranks: Ranks = ALONE,
) -> Flywheel:
    """The flywheel of a fit, its nets initialised and tried on two rows; see `FitJob` for the arguments.

    Global random states are left seeded for the loop.

    Raises
    ------
    TypeError, ValueError
        If nets, views, rows and classes do not fit each other.
    """
    source = make_source(data.rows, nets.home, worker_options(main_net=nets.main, aux_net=nets.aux))
    taking_part = len(source) if data.weights is None else int((data.weights > 0).sum())
    settings = make_settings(params, sample.ndim > 2, nets.n_folds, taking_part)
    views = ViewAdapter(default_views(params["views"], sample, nets.n_folds), sample)
    views.check_scale(sample, nets.home)
    trainers = make_trainers(params, nets, sample, views, n_classes, seeds, ranks)
    state_device = float64_device(nets.home)
    given = torch.from_numpy(data.codes).to(state_device)
    weights = None if data.weights is None else torch.from_numpy(data.weights).to(state_device)
    loader = ViewLoader(source, views, seeds[2], ranks)
    make = LargeFlywheel if len(given) * n_classes > LARGE else Flywheel
    make = OutOfFoldFlywheel if nets.n_folds > 1 else make
    flywheel = make(trainers[0], trainers[-1], loader, given, n_classes, settings, weights)
    flywheel.position = None if data.position is None else torch.from_numpy(data.position).to(state_device)
    seed_global(seeds[2] + ranks.rank, nets.devices)  # dropout of the M-steps
    return flywheel


class Sample(NamedTuple):
    """Rows that stand for all of them."""

    x: Tensor
    """(m, ...) on the CPU."""
    given: Tensor
    """Their given labels: (m,), int64."""


def sample_of(data: WeightedRows, first: Tensor, options: dict[str, Any] | None = None) -> Sample:
    """The rows that take part, or evenly spaced ones where all hold more than ``SAMPLE_NUMBERS`` numbers.

    ``first`` is the first row, whose size counts; ``options`` are those of `options_of_sample`.
    """
    source = make_source(data.rows, torch.device("cpu"), options)
    rows = torch.arange(len(source)) if data.weights is None else torch.from_numpy(data.weights).nonzero().squeeze(1)
    most = max(100, SAMPLE_NUMBERS // first.numel())
    if len(rows) > most:
        rows = rows[torch.linspace(0, len(rows) - 1, most, dtype=torch.float64).long()]
    return Sample(read_some(source, rows), torch.from_numpy(data.codes)[rows])


def untrained_flywheel(
    estimator: Any, rows: Tensor | Dataset, codes: NDArray[np.int64], n_classes: int, seeds: list[int]
) -> Flywheel:
    """The flywheel that ``estimator`` would fit with, before any training; for benchmarks and tests.

    ``rows`` and ``codes`` are those of `LabelledRows`. Global random states are left seeded.
    """
    params = estimator.get_params(deep=False)
    data = WeightedRows(rows, codes, None, None)
    sample = sample_of(data, first_row(rows))
    n_folds, _ = choose_n_folds(params, sample.x, len(codes), given=sample.given)
    nets = choose_nets(params, sample.x.ndim > 2, len(codes), n_folds)
    return assemble(params, nets, data, n_classes, seeds, sample.x)


def make_trainers(
    params: dict[str, Any],
    nets: Nets,
    sample: Tensor,
    views: ViewAdapter,
    n_classes: int,
    seeds: list[int],
    ranks: Ranks,
) -> list[Trainer]:
    """Trainers of g and f, or of g alone with ``refurbish=False``, their nets initialised and tried on two rows."""
    trainers, image, filled_in = [], sample.ndim > 2, widths(sample, n_classes, nets.n_folds)
    named = [("main_net", nets.main, seeds[0]), ("aux_net", nets.aux, seeds[1])]
    named = named if params["refurbish"] else named[:1]
    for name, net, seed in named:
        seed_global(seed, nets.devices)
        ready = prepare_net(net, filled_in, nets.device, image, name)
        if hasattr(ready.module_, "adapt"):
            with naming_rows(name, sample):
                ready.module_.adapt(views.plain(sample.clone()).to(nets.home))  # a user's plain may change its rows
        amp = image and bf16_pays(nets.home)
        layer = params["feature_layer"] if name == named[-1][0] else "auto"  # features are those of f
        trainer = Trainer(ready, amp, layer, scheduled=nets.are_default, ranks=ranks, seed=seed, name=name)
        check_forward(trainer, views.plain(sample[:2].clone()), n_classes, name)
        refuse_blurred_ids(params, trainer, views, sample, name)
        trainers.append(trainer)
    if len(trainers) == 2:
        check_own_files(trainers[0].net, trainers[1].net)
        check_own_weights(trainers[0].net, trainers[1].net)
    return trainers


def first_row(rows: Tensor | Dataset) -> Tensor:
    """The first row: (d,) or (C, H, W)."""
    return rows[0] if isinstance(rows, Tensor) else map_items(as_row, rows, [0])[0]


def default_views(views: Any, sample: Tensor, n_folds: int) -> Any:
    """The view object for ``views="auto"``: by the number of dimensions of a batch; none with folds."""
    if not (isinstance(views, str) and views == "auto"):
        return views
    if n_folds > 1:
        return None
    return ImageViews() if sample.ndim == 4 else VectorViews()


def refuse_blurred_ids(params: dict[str, Any], trainer: Trainer, views: ViewAdapter, sample: Tensor, name: str) -> None:
    """Raise ValueError if the net called ``name`` reads ids to which views add noise, or which MixUp mixes."""
    noisy = getattr(type(views.views), "weak", None) is VectorViews.weak and views.views.noise_ > 0
    mixed = name == "aux_net" and params["mixup_alpha"] not in ("auto", 0)
    if noisy or mixed:
        check_ids(trainer, views.plain(sample[:8].clone()), "the noise of views" if noisy else "MixUp", name)


def bf16_pays(device: torch.device) -> bool:
    """Whether bf16 autocast is faster there: CUDA from Ampere on, CPUs with bf16 instructions."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # as in torch for Apple silicon
        return False
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def widths(sample: Tensor, n_classes: int, n_folds: int) -> dict[str, int]:
    """Widths that `prepare_net` fills in where a module takes them: of classes, features, and channels or bins."""
    found = {"n_features": sample[0].numel(), "n_classes": n_classes}
    if sample.ndim > 2:
        return found | {"in_channels": sample.shape[1]}
    return found | ({"n_encoded": count_bins(sample.float())} if n_folds > 1 else {})
