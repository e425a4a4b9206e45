"""What changes from cycle to cycle by plan: the learning rate of default nets and lambda of Eq. (8)."""

from __future__ import annotations

import math

HOLD = 0.4
"""Share of the cycles over which a default net on vectors keeps its whole learning rate, before the cosine: with few
cycles f is still behind g when a cosine from the start has taken its steps away."""


def learning_rate_share(done: int, n_cycles: int, hold: float) -> float:
    """Share of its own learning rate that a default net has in the next cycle, in [0, 1].

    Cosine annealing over the cycles (Sec. 4.2), begun after the share ``hold`` of them.

    Parameters
    ----------
    done, n_cycles : int
        Cycles done, and in all.
    hold : float in [0, 1)
        Share of the cycles before the cosine begins.
    """
    share = (done / n_cycles - hold) / (1 - hold)
    return 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))


def cr_weight_of_cycle(done: int, cr_weight: float, cr_ramp: int) -> float:
    """lambda after ``done`` cycles: 0 at first, then linear up to ``cr_weight`` over ``cr_ramp`` cycles."""
    return cr_weight * (1.0 if cr_ramp <= 0 else min(1.0, done / cr_ramp))
