"""When the warm-up of nets with folds ends: when the loss on the given labels of out-of-fold rows stops falling.

Each member leaves out its own fold in any case, so every row has a loss by a net that has not seen it. The members of
the epoch with the least loss, as a mean over two epochs, are kept.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from noisyflywheel.em.some_rows import MANY_ROWS

MOST_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 800, 40, 100
"""Length of the warm-up if nothing ends it earlier: so many steps, within these bounds in epochs; beyond ``MANY_ROWS``
rows a quarter of the fewest are enough."""

PATIENCE = 8
"""Epochs without a better loss on unseen rows that end the warm-up."""

RISE, MOST_WARM_UP_RATE = 6, 2.0
"""The learning rate of the warm-up rises by that of the nets every so many epochs, up to so many times that: nets that
have learnt all there is in a few epochs take small steps, those that go on learning large ones."""


def n_epochs_at_most(n_rows: int, batch_size: int) -> int:
    """Length of the warm-up, if nothing ends it earlier."""
    steps = max(1, n_rows // max(1, batch_size))
    fewest = FEWEST_EPOCHS // 4 if n_rows > MANY_ROWS else FEWEST_EPOCHS
    return min(MOST_EPOCHS, max(fewest, MOST_STEPS // steps))


def rate_of(epoch: int) -> float:
    """Learning rate of an epoch, counted from 0, in units of the nets' own."""
    return min(MOST_WARM_UP_RATE, 1 + epoch / RISE)


def losses_of_families(prob: Tensor, given: Tensor) -> list[float]:
    """Mean loss of labels (n,) by predictions (families, n, K) of members that have not seen them, for each family."""
    return [float(F.nll_loss(log_p, given)) for log_p in prob.clamp_min(1e-6).log()]  # sync: one scalar a family


def best_epochs(records: list[Tensor]) -> Tensor:
    """Epoch of the least loss over two epochs, from losses (nets, families) of each epoch: (nets, families), int64."""
    return smoothed(records).argmin(0)


def is_over(records: list[Tensor]) -> bool:
    """Whether no net's and no family's loss, (nets, families) an epoch, has become better in ``PATIENCE`` epochs."""
    return bool(records) and len(records) - 1 - int(best_epochs(records).max()) >= PATIENCE


def epochs_learnt(best: Tensor) -> float:
    """How long one net learnt up to the best epochs of its families (families,), in epochs at the nets' own rate."""
    learnt = torch.tensor([rate_of(epoch) for epoch in range(int(best.max()) + 1)]).cumsum(0)
    return float(learnt[best].mean())


def smoothed(records: list[Tensor]) -> Tensor:
    """Mean of each epoch's losses and those of the epoch before: (epochs, nets, families)."""
    losses = torch.stack(records)
    return (losses + torch.cat([losses[:1], losses[:-1]])) / 2
