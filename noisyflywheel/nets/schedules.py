"""Learning rates and picture sizes by the number of the epoch: skorch callbacks without a state of their own.

skorch's `LRScheduler` counts from the moment training begins. These read the epoch's number from the net's
history, so a training that is continued from a checkpoint goes on where it was; warm-up epochs and cycles
count alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback


class EpochLR(Callback):
    """Sets the learning rate of every parameter group to its own first one times ``factor(epoch)``."""

    def factor(self, epoch: int) -> float:
        """Share of the first learning rate in epoch 0, 1, ...; 1 here."""
        return 1.0

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:
        """Remember the learning rates that the net came with."""
        for group in net.optimizer_.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def on_epoch_begin(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Set this epoch's learning rate and record it as ``lr``."""
        share = self.factor(len(net.history) - 1)
        for group in net.optimizer_.param_groups:
            group["lr"] = group["initial_lr"] * share
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])


class CosineLR(EpochLR):
    """Cosine annealing to 0 without restart, after a linear rise if asked for.

    Parameters
    ----------
    n_epochs : int, at least 1
        Length of the schedule, warm-up epochs and cycles together.
    n_rising : int, default=0
        Epochs over which the rate rises linearly to its full height.
    """

    def __init__(self, n_epochs: int, n_rising: int = 0) -> None:
        self.n_epochs = n_epochs
        self.n_rising = n_rising

    def factor(self, epoch: int) -> float:
        """``(1 + cos(pi t)) / 2``, t from 0 after the rise to 1 at the end."""
        if epoch < self.n_rising:
            return (epoch + 1) / (self.n_rising + 1)
        t = (epoch - self.n_rising) / max(1, self.n_epochs - self.n_rising)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, t)))


class GrowingSide(Callback):
    """Lets the pictures of a module with a ``side`` grow: equally many epochs at each side; other modules stay.

    Parameters
    ----------
    n_epochs : int, at least 1
        Length of the schedule, warm-up epochs and cycles together.
    sides : sequence of int
        In pixels; 0 is the pictures' own.
    """

    def __init__(self, n_epochs: int, sides: Sequence[int] = (16, 24, 0)) -> None:
        self.n_epochs = n_epochs
        self.sides = sides

    def side(self, epoch: int) -> int:
        """The side in epoch 0, 1, ...; the last one stays."""
        return self.sides[min(len(self.sides) - 1, epoch * len(self.sides) // self.n_epochs)]

    def on_epoch_begin(
        self, net: NeuralNet, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Set this epoch's side."""
        if hasattr(net.module_, "side"):
            net.module_.side = self.side(len(net.history) - 1)


class StepLR(EpochLR):
    """Multiplied by ``gamma`` after ``first`` epochs and, if asked for, every ``every`` epochs from there.

    Parameters
    ----------
    first : int
        Epochs at the full rate.
    gamma : float
        Factor of each step.
    every : int or None, default=None
        Epochs between further steps; None for one step only.
    """

    def __init__(self, first: int, gamma: float, every: int | None = None) -> None:
        self.first = first
        self.gamma = gamma
        self.every = every

    def factor(self, epoch: int) -> float:
        """``gamma`` to the power of the steps so far."""
        if epoch < self.first:
            return 1.0
        return self.gamma ** (1 + ((epoch - self.first) // self.every if self.every else 0))
