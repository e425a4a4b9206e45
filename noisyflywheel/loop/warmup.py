"""Warm-up: both nets on the given labels, until what they learn stops carrying over (Sec. 4.1, Initialization).

The paper warms up for 10 epochs, a number that belongs to its data and nets. Here each net leaves some rows out of its
warm-up, and its agreement with their given labels is watched: it rises while the net learns what rows have in common,
and stops rising when the net has learnt that or begins to memorise. No clean label is needed: noise that does not
depend on the net scales the agreement but does not move its peak. In the cycles every row takes part.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from noisyflywheel.exceptions import ADVICE, DivergenceError
from noisyflywheel.loop import snapshot
from noisyflywheel.loop.checkpoints import FitCheckpoints
from noisyflywheel.loop.flywheel import Flywheel
from noisyflywheel.loop.progress import FitProgress

MIN_EPOCHS, MAX_EPOCHS = 10, 30
"""Bounds of the warm-up in epochs."""

PATIENCE = 5
"""Epochs over which the agreement must rise for the warm-up to go on."""

HELD_SHARE, HELD_MOST, HELD_LEAST = 0.1, 2000, 25
"""Share of the rows that each net leaves out, at most and at least (in rows; with fewer none is left out)."""


def warm_up(wheel: Flywheel, progress: FitProgress, checkpoints: FitCheckpoints) -> int:
    """Train both nets on the given labels, then set gamma and eps; returns the number of epochs."""
    fixed = wheel.settings.n_warmup_epochs
    with checkpoints.trusting() as saved:
        epoch, held, right = resume_warm_up(wheel, saved)
    if epoch == 0 and fixed == "auto":
        held = hold_out(wheel)
    most = MAX_EPOCHS if held is not None else MIN_EPOCHS if fixed == "auto" else int(fixed)
    while epoch < most and not over(right):
        loss = wheel.warm_up_epoch(held)
        epoch += 1
        if not math.isfinite(loss):
            raise DivergenceError(f"The loss became {loss} in warm-up epoch {epoch}: {ADVICE}")
        progress.warm_up(epoch, loss)
        if held is not None:
            right.append(wheel.held_out_agreement(held))
        if checkpoints.due():
            state = {"phase": "warm-up", "snapshot": snapshot.take(wheel)}
            checkpoints.save(state | {"epoch": epoch, "held": held, "right": right})
    wheel.start_cycles()
    progress.warm_up_done(epoch)
    return epoch


def over(right: list[Tensor]) -> bool:
    """Whether the agreement on held-out rows, one bool tensor (m,) per epoch, has stopped rising."""
    return len(right) >= MIN_EPOCHS and not still_rising(right[-1 - PATIENCE], right[-1])


def resume_warm_up(wheel: Flywheel, saved: dict[str, Any] | None) -> tuple[int, list[Tensor] | None, list[Tensor]]:
    """Epochs done, rows held out and agreement so far: from a checkpoint, or those of the start."""
    if saved is None or saved["phase"] != "warm-up":
        return 0, None, []
    snapshot.put_back(wheel, saved["snapshot"])
    device = wheel.given.device
    held = None if saved["held"] is None else [rows.to(device) for rows in saved["held"]]
    return saved["epoch"], held, [right.to(device) for right in saved["right"]]


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
