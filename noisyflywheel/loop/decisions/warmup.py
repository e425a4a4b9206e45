"""When the warm-up ends (Sec. 4.1, Initialization): when what the nets learn stops carrying over.

The paper warms up for 10 epochs, a number that belongs to its data and nets. Here each net leaves some rows out of its
warm-up, and its agreement with their given labels is watched: it rises while the net learns what rows have in common,
and stops rising when the net has learnt that or begins to memorise. No clean label is needed: noise that does not
depend on the net scales the agreement but does not move its peak. In the cycles every row takes part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.loop.decisions.decide import sign_test

MIN_EPOCHS, MAX_EPOCHS = 10, 30
"""Bounds of the warm-up in epochs."""

PATIENCE = 5
"""Epochs over which the agreement must rise for the warm-up to go on."""

HELD_SHARE, HELD_MOST, HELD_LEAST = 0.1, 2000, 25
"""Share of the rows that each net leaves out, at most and at least (in rows; with fewer none is left out)."""


def hold_out(n_rows: int, n_nets: int, generator: torch.Generator) -> list[Tensor] | None:
    """Rows that each net leaves out: disjoint draws, one per net; None where there are too few rows."""
    size = min(HELD_MOST, int(HELD_SHARE * n_rows))
    if size < HELD_LEAST:
        return None
    order = torch.randperm(n_rows, generator=generator)
    return [order[i * size : (i + 1) * size] for i in range(n_nets)]


def is_over(agreement: list[Tensor]) -> bool:
    """Whether the agreement on held-out rows, one bool tensor (m,) per epoch, has stopped rising."""
    return len(agreement) >= MIN_EPOCHS and not still_rising(agreement[-1 - PATIENCE], agreement[-1])


def still_rising(before: Tensor, now: Tensor) -> bool:
    """Whether more rows were won than lost, by more than one standard deviation of chance: bool (m,) each."""
    return sign_test(now, before) > 1
