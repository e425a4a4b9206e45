"""The paper's benchmarks (Sec. 4.2), each as a configured `FlywheelClassifier`.

Every recipe takes ``literal`` and keyword overrides of any parameter of the classifier, also nested ones
(``main_net__batch_size=64`` acts on both nets, ``aux_net__lr=0.1`` on f alone).

``literal=True``, the default, is the paper as it stands: labels for g are argmax f, Eqs. 4 and 6
uncalibrated, lambda at once, no guard, weights as they are. ``literal=False`` keeps Sec. 4.2's settings and
takes the package's own form of the loop: labels for g from the posterior, calibration where a test asks for
it, lambda grown over 30 cycles, the guard, and averaged weights.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from noisyflywheel.backbones import PreActResNet18, ProgressivePreActResNet18, inception_resnet_v2, resnet50
from noisyflywheel.estimator.classifier import FlywheelClassifier
from noisyflywheel.nets.schedules import CosineLR, GrowingSide, StepLR
from noisyflywheel.views import ImageViews

LITERAL: dict[str, Any] = {
    "resample": "argmax",
    "calibrate": False,
    "cr_ramp": 0,
    "guard": False,
    "distribution_alignment": 0,
    "average_epochs": 0,
}
"""The loop exactly as the paper writes it."""

OURS: dict[str, Any] = {
    "resample": "posterior",
    "calibrate": "auto",
    "cr_ramp": 30,
    "guard": True,
    "distribution_alignment": 0,  # not measured on sets and trainings of this size
    "average_epochs": 5.0,
}
"""The package's form of the loop; CORES2 ramps its regularizer over 30 epochs too."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Channel means and deviations that torchvision's ImageNet weights were trained with."""


@dataclass(frozen=True)
class Recipe:
    """One row of Sec. 4.2: both nets with SGD, momentum 0.9, and the length of the training."""

    module: Callable[..., nn.Module]
    epochs: int  # warm-up and cycles together
    warmup: int
    lr: float
    batch_size: int
    weight_decay: float
    schedule: StepLR | None = None  # None: a cosine over all epochs ...
    n_rising: int = 0  # ... after a rise over these
    mixup: float = 4.0
    views: dict[str, Any] = field(default_factory=dict)  # arguments of ImageViews
    net: dict[str, Any] = field(default_factory=dict)  # further parameters of the nets
    cycle_size: int | None = None
    sides: tuple[int, ...] = ()  # of the pictures, equally long each; 0: their own


_SHOP_VIEWS = {"pad": 16, "mean": IMAGENET[0], "std": IMAGENET[1]}
RECIPES = {
    "cifar10": Recipe(PreActResNet18, 300, 10, 0.02, 128, 5e-4),
    "cifar100": Recipe(PreActResNet18, 300, 10, 0.02, 128, 5e-4),
    "cifar10_fast": Recipe(
        ProgressivePreActResNet18,
        120,
        10,
        0.1,
        256,
        5e-4,
        None,
        5,
        net={"optimizer__nesterov": True},
        sides=(16, 24, 0),
    ),
    "tiny_imagenet": Recipe(PreActResNet18, 200, 10, 0.01, 32, 5e-4, StepLR(100, 0.5, every=25), 0, 0.5, {"pad": 8}),
    "clothing1m": Recipe(resnet50, 80, 1, 0.001, 32, 1e-3, StepLR(40, 0.1), 0, 0.5, _SHOP_VIEWS, cycle_size=32_000),
    "webvision": Recipe(inception_resnet_v2, 100, 1, 0.02, 32, 5e-4, StepLR(50, 0.5, every=25), 0, 0.5, {"pad": 10}),
}
"""Sec. 4.2 and what it leaves open; each function below says which is which. All: lambda 3, alpha 0.025."""


def cifar10(*, literal: bool = True, device: str = "auto", **overrides: Any) -> FlywheelClassifier:
    """CIFAR-10: PreAct ResNet-18, 300 epochs = 10 of warm-up and 290 cycles.

    Parameters
    ----------
    literal : bool, default=True
        The paper's form of the loop, or the package's.
    device : str, default="auto"
        "auto": CUDA where there is one.
    **overrides
        Parameters of `FlywheelClassifier`, nested ones too. The cosine follows ``n_warmup_epochs`` and
        ``n_cycles``.

    Returns
    -------
    FlywheelClassifier
        Not fitted.

    Notes
    -----
    Stated in Sec. 4.1 and 4.2: net, SGD with momentum 0.9, weight decay 5e-4, batch 128,
    learning rate 0.02, cosine without restart, 300 epochs, warm-up 10, lambda 3, alpha 0.025. Left open:
    MixUp's 4 and the weak view's frame of 4 pixels (DivideMix, UNICON); RandAugment's 2 operations of
    strength 10; contrastive temperature 0.05 and a projection of 128 with BatchNorm (UNICON); no sharpening
    (Eq. 11 as it stands); one schedule for both nets over warm-up and cycles.
    """
    return _classifier("cifar10", literal, device, overrides)


def cifar100(*, literal: bool = True, device: str = "auto", **overrides: Any) -> FlywheelClassifier:
    """CIFAR-100: every setting as in `cifar10`; Sec. 4.2 states them for both together.

    Parameters
    ----------
    literal, device, **overrides
        As in `cifar10`.

    Returns
    -------
    FlywheelClassifier
        Not fitted.
    """
    return _classifier("cifar100", literal, device, overrides)


def cifar10_fast(
    *, literal: bool = False, device: str = "auto", compiled: bool = False, **overrides: Any
) -> FlywheelClassifier:
    """CIFAR-10 in about ten minutes of a large GPU: the package's own schedule, not the paper's.

    10 epochs of warm-up and 110 cycles, batches of 256, Nesterov momentum, a learning rate that rises to
    0.1 over 5 epochs and falls by a cosine, lambda grown over 20 cycles. A third of the epochs each sees pictures of
    16, 24 and 32 pixels a side. The length is sized by arithmetic: 110 cycles of at most 4.5 s.

    Parameters
    ----------
    literal, device, **overrides
        As in `cifar10`.
    compiled : bool, default=False
        Whether `torch.compile` takes the nets, which costs a minute or two at first.

    Returns
    -------
    FlywheelClassifier
        Not fitted.
    """
    grown = {} if literal else {"cr_ramp": 20}
    compile_it = {"module__compiled": True} if compiled else {}
    return _classifier("cifar10_fast", literal, device, grown | overrides, **compile_it)


def tiny_imagenet(*, literal: bool = True, device: str = "auto", **overrides: Any) -> FlywheelClassifier:
    """Tiny-ImageNet: 200 epochs = 10 of warm-up and 190 cycles.

    Parameters
    ----------
    literal, device, **overrides
        As in `cifar10`.

    Returns
    -------
    FlywheelClassifier
        Not fitted.

    Notes
    -----
    Stated in Sec. 4.2: SGD with momentum 0.9, weight decay 5e-4, batch 32, learning rate 0.01
    with "decay factor [of] 0.5 per 25 epochs after 100 epochs", 200 epochs, warm-up 10. Left open: the net
    (PreAct ResNet-18, as UNICON); whether the first halving comes after 100 epochs, as here, or after 125;
    MixUp's 0.5 (DivideMix's for large pictures); a frame of 8 pixels, the same share of the side as CIFAR's
    4.
    """
    return _classifier("tiny_imagenet", literal, device, overrides)


def clothing1m(
    *, literal: bool = True, device: str = "auto", weights: str | None = "IMAGENET1K_V1", **overrides: Any
) -> FlywheelClassifier:
    """Clothing1M: ResNet-50 pretrained on ImageNet, 80 epochs of 1,000 class-balanced batches of 32.

    Parameters
    ----------
    literal, device, **overrides
        As in `cifar10`.
    weights : str or None, default="IMAGENET1K_V1"
        See `noisyflywheel.backbones.resnet50`; torchvision downloads named weights when the net is built.

    Returns
    -------
    FlywheelClassifier
        Not fitted.

    Notes
    -----
    Stated in Sec. 4.2: net and pretraining, SGD with momentum 0.9, weight decay 1e-3, batch 32,
    learning rate 0.001 divided by 10 after 40 epochs, 80 epochs, 1,000 balanced batches each. Left open:
    the warm-up (1 epoch, as DivideMix; Sec. 4.1 says "a few"); MixUp's 0.5; crops that shift pictures of
    224 pixels by up to 16 either way, as far as DivideMix's crops of 224 out of 256.
    """
    return _classifier("clothing1m", literal, device, overrides, module__weights=weights)


def webvision(*, literal: bool = True, device: str = "auto", **overrides: Any) -> FlywheelClassifier:
    """WebVision, first 50 classes of the Google subset: Inception-ResNet-v2, 100 epochs.

    Parameters
    ----------
    literal, device, **overrides
        As in `cifar10`.

    Returns
    -------
    FlywheelClassifier
        Not fitted.

    Notes
    -----
    Stated in Sec. 4.2: net, SGD with momentum 0.9, weight decay 5e-4, batch 32, learning rate
    0.02 with a "decaying rate [of] 0.5/25 epochs after 50 epochs", 100 epochs. Left open: random initial
    weights (DivideMix); the warm-up (1 epoch, as DivideMix); MixUp's 0.5; crops that shift pictures of 299
    pixels by up to 10 either way, as far as DivideMix's crops of 299 out of 320. The net needs the extra
    ``timm``.
    """
    return _classifier("webvision", literal, device, overrides)


def _classifier(name: str, literal: bool, device: str, overrides: dict[str, Any], **net: Any) -> FlywheelClassifier:
    """A classifier from the loop's form, the table's row, and the caller's parameters, in rising order."""
    recipe = RECIPES[name]
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    params: dict[str, Any] = {
        "n_warmup_epochs": recipe.warmup,
        "n_cycles": recipe.epochs - recipe.warmup,
        "cycle_size": recipe.cycle_size,
        "views": ImageViews(**recipe.views),
        "mixup_alpha": recipe.mixup,
        "cr_weight": 3.0,
        "contrastive_weight": 0.025,
    }
    schedules: dict[str, Callback] = {"lr": copy(recipe.schedule) or _cosine(params | overrides, recipe.n_rising)}
    if recipe.sides:
        schedules["side"] = GrowingSide(_n_epochs(params | overrides), recipe.sides)
    main = _net(recipe, schedules, device, net)
    classifier = FlywheelClassifier(main, device=device, **params, **(LITERAL if literal else OURS))
    for parameter in sorted(overrides, key=_turn):
        if parameter.startswith("aux_net__") and classifier.aux_net is None:
            classifier.set_params(aux_net=clone(classifier.main_net))
        classifier.set_params(**{parameter: overrides[parameter]})
    return classifier


def _turn(parameter: str) -> int:
    """When an override is set: nets before what is inside them, and f, which is like g otherwise, after g."""
    return 2 if parameter.startswith("aux_net__") else int("__" in parameter)


def _net(recipe: Recipe, schedules: dict[str, Callback], device: str, more: dict[str, Any]) -> NeuralNetClassifier:
    """The net g, and the pattern of f."""
    return NeuralNetClassifier(
        recipe.module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=recipe.weight_decay,
        lr=recipe.lr,
        batch_size=recipe.batch_size,
        callbacks=list(schedules.items()),
        train_split=None,
        verbose=0,
        device=device,
        **recipe.net,
        **more,
    )


def _cosine(params: dict[str, Any], n_rising: int) -> CosineLR:
    """Cosine over warm-up and cycles, however many they are."""
    return CosineLR(_n_epochs(params), n_rising)


def _n_epochs(params: dict[str, Any]) -> int:
    """Warm-up epochs and cycles."""
    for name, what in (("n_warmup_epochs", "warm-up epochs"), ("n_cycles", "cycles")):
        if not isinstance(params[name], Integral):
            raise ValueError(f"a recipe's cosine needs a number of {what}, got {name}={params[name]!r}")
    return int(params["n_warmup_epochs"] + params["n_cycles"])
