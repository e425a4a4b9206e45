"""Callbacks of a user's net that stop the training, or decide by a figure of its history."""

from __future__ import annotations

import traceback
import warnings

from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, EpochScoring

from noisyflywheel.exceptions import FlywheelWarning

MONITORED = (
    "no rows are held out here. What can be monitored is train_loss: in the warm-up the cross-entropy on the given "
    "labels, in the cycles the loss of the net's M-step (Eq. 13 for f, Eq. 8 for g)"
)


class StopTraining(Exception):
    """A callback asked to stop (skorch's convention is a KeyboardInterrupt raised inside a callback)."""


def check_monitors(net: NeuralNet, name: str) -> None:
    """Raise ValueError if a callback of an initialised net monitors what its history will not have.

    Nothing is scored on held-out rows here, so ``valid_loss`` and what `EpochScoring` records are never there, unless
    a callback that is not skorch's records them itself.
    """
    callbacks = dict(net.callbacks_)
    scores = {callback.name_ for callback in callbacks.values() if isinstance(callback, EpochScoring)}
    if any(not type(callback).__module__.startswith(("skorch.", "noisyflywheel.")) for callback in callbacks.values()):
        return
    for label, callback in callbacks.items():
        monitor = getattr(callback, "monitor", None)
        if not isinstance(monitor, str):
            continue
        if monitor in scores or monitor.startswith("valid_") or monitor.endswith("_best"):
            raise ValueError(f"{name} has the callback {label} with monitor={monitor!r}, but {MONITORED}.")


def count_anew(net: NeuralNet) -> None:
    """Let early stopping count from here, as in skorch's ``partial_fit``: one that has stopped would never do it again.

    It stops where its count is its patience, not beyond.
    """
    for _, callback in net.callbacks_:
        if isinstance(callback, EarlyStopping):
            callback.on_train_begin(net)


def stopping_callbacks(net: NeuralNet, stop: BaseException) -> str:
    """Names of the callbacks that an exception came through, outermost first; "a callback" if there are none."""
    owners = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(stop.__traceback__)]
    names = [name for name, callback in net.callbacks_ if any(callback is owner for owner in owners)]
    return " and ".join(names) or "a callback"


def warn_of_early_stop(stop: StopTraining, in_a_cycle: bool) -> None:
    """Warn that a callback stopped the training in the warm-up, or ``in_a_cycle``, the first one: none was done."""
    where = ", in the first cycle" if in_a_cycle else " of the warm-up, before the first cycle"
    by = "what the nets had learnt by then" if in_a_cycle else "the warm-up alone"
    advice = "" if in_a_cycle else ", or set a shorter n_warmup_epochs"
    warnings.warn(
        f"{stop}{where}: the labels are judged by {by} (n_iter_ is 0). "
        f"What it may have monitored is train_loss; give it more patience{advice}.",
        FlywheelWarning,
        stacklevel=2,
    )
