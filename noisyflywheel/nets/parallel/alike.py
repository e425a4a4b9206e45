"""Whether a net is the same on all ranks when an epoch begins: callbacks of one rank may have changed it."""

from __future__ import annotations

import math
from typing import Any

from noisyflywheel.nets.parallel.ranks import Ranks

ROUNDING = 1e-4
"""Relative difference between sums of weights that machines of different kinds may come to."""


def check_alike(
    ranks: Ranks, name: str, stops: bool, rates: list[float], weights: list[Any], size: float | None
) -> None:
    """Raise ValueError on every rank if the net called ``name`` differs between two of them.

    Parameters
    ----------
    stops : bool
        Whether a callback of this rank ends the training; then others of it were not called, and nothing is compared.
    rates : list of float
        Learning rates of the optimizer's groups.
    weights : list
        What is known of each weight: its shape, and whether it is trained.
    size : float or None
        A sum over all weights, the same but for rounding.
    """
    found = ranks.everyones((stops, rates, weights, size), "comparing nets")
    if any(stopped for stopped, *_ in found):
        return
    _, *first = found[0]
    for rank, (_, *other) in enumerate(found[1:], 1):
        what = difference(first, other)
        if what is not None:
            raise ValueError(
                f"{name} on rank {rank} has {what} than on rank 0: ranks that share a fit need the same module, "
                f"and the same callbacks beside those that only watch; distributed=False lets each fit on its own."
            )


def difference(first: list[Any], other: list[Any]) -> str | None:
    """What differs between learning rates, weights and size of two nets, in words; None if they are alike."""
    (rates, weights, size), (other_rates, other_weights, other_size) = first, other
    if weights != other_weights:
        return "weights of other shapes, or others frozen,"
    if rates != other_rates:
        return f"other learning rates ({other_rates}, not {rates})"
    both = size is not None and other_size is not None and not (math.isnan(size) and math.isnan(other_size))
    return "other values of its weights" if both and not math.isclose(size, other_size, rel_tol=ROUNDING) else None
