"""From a user's skorch net, or none, to an initialised net of the right widths."""

from __future__ import annotations

import inspect
import math
from functools import partial
from numbers import Integral
from typing import Any

import torch
from sklearn.base import clone
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn.parameter import is_lazy

from noisyflywheel.backbones import MLP, FoldedMLP, SmallResNet
from noisyflywheel.em.some_rows import MANY_ROWS
from noisyflywheel.nets.criterion import check_training_steps
from noisyflywheel.nets.workers import check_batches

_SILENCED = ("train_loss", "valid_loss", "valid_acc", "print_log")
"""skorch's default callbacks that read what is not recorded here (per-batch losses, a held-out set)."""


def default_net(
    image: bool, n_rows: int, device: str, auxiliary: bool = False, n_folds: int = 1
) -> NeuralNetClassifier:
    """The net for ``None``: a small ResNet for images, an MLP for vectors, with ``n_folds`` above 1 a stack of MLPs.

    Parameters
    ----------
    image : bool
        Whether it sees images.
    n_rows : int
        Rows that take part; they decide the batch size of nets on vectors.
    device : str
        Where it runs.
    auxiliary : bool
        Whether it is f, whose MLP has 1.5 times the learning rate of g's: f follows soft targets that g has already
        settled and would stay behind, while a faster g would memorise wrong labels of embeddings.
    n_folds : int
        Folds of `noisyflywheel.backbones.FoldedMLP`.
    """
    if image:
        return _default(SmallResNet, torch.optim.SGD, 0.05, 64, device, momentum=0.9, nesterov=True, weight_decay=5e-4)
    if n_folds > 1:
        size = batch_of(n_rows, 6) if n_rows <= MANY_ROWS else 1024
        net = _default(FoldedMLP, torch.optim.AdamW, 0.002, size, device, weight_decay=0.01, fused=True)
        skips = n_folds == 2 and n_rows > MANY_ROWS and torch.device(device).type == "cpu"
        return net.set_params(module__n_folds=n_folds, **({"module__only_own": True} if skips else {}))
    lr = 0.015 if auxiliary else 0.01
    return _default(MLP, torch.optim.SGD, lr, batch_of(n_rows, 20), device, momentum=0.9, weight_decay=5e-4)


def _default(
    module: Any, optimizer: Any, lr: float, batch_size: int, device: str, **optimizer_params: Any
) -> NeuralNetClassifier:
    return NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=optimizer,
        lr=lr,
        batch_size=batch_size,
        train_split=None,
        device=device,
        **{f"optimizer__{name}": value for name, value in optimizer_params.items()},
    )


def batch_of(n_rows: int, steps: int) -> int:
    """Batch size with which an epoch has about ``steps`` steps: a power of 2 in 32..256."""
    return 2 ** min(8, max(5, round(math.log2(n_rows / steps))))


def check_net(net: Any, name: str) -> None:
    """Raise if ``net`` is not a skorch net that can be driven.

    Raises
    ------
    TypeError
        If it is not a skorch ``NeuralNet``.
    ValueError
        If its batch size cannot be, it is a stack of members, it has a ``train_split`` of the user's (the flywheel
        trains on every row), a training step of its own, or batches of its own (`check_batches`).
    """
    if not isinstance(net, NeuralNet):
        got = f"the class {net.__name__}" if inspect.isclass(net) else type(net).__name__
        raise TypeError(f"{name} must be a skorch NeuralNet or None, got {got}.")
    if net.module is FoldedMLP or isinstance(net.module, FoldedMLP):
        raise ValueError(f"{name} has module FoldedMLP, which trains in folds only: set n_folds, and {name}=None.")
    size = net.batch_size
    if not isinstance(size, Integral) or isinstance(size, bool) or (size < 1 and size != -1):
        raise ValueError(f"{name} has batch_size={size!r}: it must be a positive int, or -1.")
    split = net.train_split
    default = isinstance(split, ValidSplit) and split.cv == 5 and split.random_state is None
    if split is not None and not default:
        raise ValueError(
            f"{name} has train_split={split!r}: the flywheel estimates the noise of every row and cannot "
            f"hold rows out. Set train_split=None."
        )
    check_training_steps(net, name)
    check_batches(net, name)


def cloned(net: NeuralNet, name: str) -> NeuralNet:
    """A clone of ``net``; ValueError if a callback or the module cannot be cloned."""
    try:
        return clone(net)
    except Exception:
        check_cloned(net, name)
        raise


def check_cloned(net: NeuralNet, name: str) -> None:
    """Raise ValueError if a callback or the module of ``net`` is an object that scikit-learn cannot clone."""
    for item in net.callbacks if isinstance(net.callbacks, (list, tuple)) else ():
        callback = item[-1] if isinstance(item, tuple) else item
        try:
            clone(callback, safe=False)
        except Exception as error:
            raise ValueError(
                f"{name} cannot be cloned because of its callback {type(callback).__name__} ({error}). Attributes that "
                f"__init__ does not take are made in on_train_begin, or have a name that ends in _."
            ) from error
    if isinstance(net.module, nn.Module) and any(map(is_lazy, net.module.buffers())):
        raise ValueError(
            f"{name} cannot be cloned because its module is an object with a lazy BatchNorm, which cannot be copied: "
            f"give a class or a function that makes the module."
        )


def prepare_net(
    net: NeuralNet, widths: dict[str, int], device: str | None, image: bool, name: str = "the net"
) -> NeuralNet:
    """A clone of ``net`` with its widths filled in and initialised under the present torch seed.

    Parameters
    ----------
    net : skorch NeuralNet
        Never changed.
    widths : dict
        Values for ``module__n_features``, ``module__n_classes``, ``module__in_channels``: each is set where
        the module's class or factory takes it and the user left it unset.
    device : str or None
        Overrides the net's own device.
    image : bool
        Whether it sees images; its convolutions then run channels last.
    name : str
        What an error calls it.

    Raises
    ------
    ValueError
        If it cannot be cloned, or its class makes a module or an optimizer under other names only, see `initialize`.
    """
    net = cloned(net, name)
    given = net.get_params(deep=False)
    params: dict[str, Any] = {"train_split": None, "batch_size": int(net.batch_size)}
    unset = _not_bound(net.module)
    params |= {f"module__{k}": v for k, v in widths.items() if k in unset and f"module__{k}" not in given}
    if device is not None:
        params["device"] = device
    if net.callbacks != "disable":
        defaults = {name for name, _ in net.get_default_callbacks()}
        silenced = {f"callbacks__{name}" for name in _SILENCED if name in defaults}
        params |= {name: None for name in silenced if given.get(name, "there") is not None}  # skorch: not twice
    initialize(net.set_params(**params, verbose=0))
    if image and not any(map(is_lazy, net.module_.parameters())):  # those of LazyLinear have no shape yet
        net.module_.to(memory_format=torch.channels_last)
    return net


def initialize(net: NeuralNet) -> None:
    """Initialise a net, in place; ValueError if it has no ``module_`` or ``optimizer_`` then."""
    try:
        net.initialize()
    except ValueError as error:  # skorch knows no parameters of what has another name
        _check_parts(net, error)
        raise
    _check_parts(net)


def _check_parts(net: NeuralNet, cause: Exception | None = None) -> None:
    """Raise ValueError for a net without ``module_`` or ``optimizer_``, after a ``cause`` for other names only."""
    for part, made in (("module", net._modules), ("optimizer", net._optimizers)):
        if part not in made and (made or cause is None):
            raise ValueError(
                f"A net of class {type(net).__name__} has no {part}_ when it is initialised, which is needed: call "
                f"super().initialize_{part}() in its initialize_{part}. Others may be beside it."
            ) from cause


def _not_bound(module: Any) -> set[str]:
    """Names of the arguments that a module's class or factory takes, but those that a ``functools.partial`` has set."""
    if isinstance(module, nn.Module):
        return set()
    bound = module.keywords if isinstance(module, partial) else {}
    return inspect.signature(module).parameters.keys() - bound.keys()


def listens(net: NeuralNet, *events: str) -> bool:
    """Whether the net or one of its callbacks overrides any of the skorch events."""
    net_listens = any(getattr(type(net), event) is not getattr(NeuralNet, event) for event in events)
    return net_listens or any(
        getattr(type(callback), event, None) is not getattr(Callback, event)
        for _, callback in net.callbacks_
        for event in events
    )
