"""Warm-up: both nets on the given labels, until what they learn stops carrying over (Sec. 4.1, Initialization).

The paper warms up for 10 epochs, a number that belongs to its data and nets. Here each net leaves some rows out of its
warm-up, and its agreement with their given labels is watched: it rises while the net learns what rows have in common,
and stops rising when the net has learnt that or begins to memorise. No clean label is needed: noise that does not
depend on the net scales the agreement but does not move its peak. In the cycles every row takes part.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from noisyflywheel.exceptions import ADVICE, DivergenceError
from noisyflywheel.flywheel import Flywheel
from noisyflywheel.progress import FitProgress

MIN_EPOCHS, MAX_EPOCHS = 10, 30
"""Bounds of the warm-up in epochs."""

PATIENCE = 5
"""Epochs over which the agreement must rise for the warm-up to go on."""

HELD_SHARE, HELD_MOST, HELD_LEAST = 0.1, 2000, 25
"""Share of the rows that each net leaves out, at most and at least (in rows; with fewer none is left out)."""


def warm_up(wheel: Flywheel, progress: FitProgress) -> int:
    """Train both nets on the given labels, then set gamma and eps; returns the number of epochs."""
    fixed = wheel.settings.n_warmup_epochs
    held = None if fixed != "auto" else hold_out(wheel)
    most = MAX_EPOCHS if held is not None else MIN_EPOCHS if fixed == "auto" else int(fixed)
    right: list[Tensor] = []
    epoch = 0
    while epoch < most:
        loss = wheel.warm_up_epoch(held)
        epoch += 1
        if not math.isfinite(loss):
            raise DivergenceError(f"The loss became {loss} in warm-up epoch {epoch}: {ADVICE}")
        progress.warm_up(epoch, loss)
        if held is not None:
            right.append(wheel.held_out_agreement(held))
            if epoch >= MIN_EPOCHS and not still_rising(right[-1 - PATIENCE], right[-1]):
                break
    wheel.start_cycles()
    progress.warm_up_done(epoch)
    return epoch


def hold_out(wheel: Flywheel) -> list[Tensor] | None:
    """Rows that each net leaves out: disjoint draws, one per trainer; None where there are too few rows."""
    n = len(wheel.given)
    size = min(HELD_MOST, int(HELD_SHARE * n))
    if size < HELD_LEAST:
        return None
    order = torch.randperm(n, generator=wheel.order).to(wheel.given.device)
    return [order[i * size : (i + 1) * size] for i in range(len(wheel.trainers))]


def still_rising(before: Tensor, now: Tensor) -> bool:
    """Whether more rows were won than lost, by more than chance: a sign test at one standard deviation.

    Parameters
    ----------
    before, now : bool Tensor of shape (m,)
        Whether the nets agree with the given labels of the rows they left out.
    """
    won, lost = float((now & ~before).sum()), float((before & ~now).sum())
    return won - lost > (won + lost) ** 0.5
