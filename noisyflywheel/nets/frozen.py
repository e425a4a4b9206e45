"""Whether a net trains any weights: its module may come frozen, and callbacks freeze and free some."""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import ParamMapper

from noisyflywheel.nets.modules import all_modules


def check_trains(net: NeuralNet, name: str) -> None:
    """Raise ValueError if all weights of an initialised net are frozen."""
    if not any(weight.requires_grad for weight in all_modules(net).parameters()):
        raise ValueError(
            f"{name} trains no weights: all those of its module {type(net.module_).__name__} are frozen "
            "(requires_grad=False). Leave at least those of its last layer free."
        )


def check_may_train(net: NeuralNet, name: str) -> None:
    """`check_trains` before any training, where no callback of the net may free some."""
    if not any(_may_free(callback) for _, callback in net.callbacks_):
        check_trains(net, name)


def _may_free(callback: Any) -> bool:
    known = type(callback).__module__.startswith(("skorch.", "noisyflywheel."))
    return isinstance(callback, ParamMapper) or not known  # such as skorch's Unfreezer
