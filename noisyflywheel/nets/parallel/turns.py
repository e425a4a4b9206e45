"""Predictions that are shared: ranks take turns, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from noisyflywheel.nets.parallel.ranks import Ranks

ROWS_AT_ONCE = 8192
"""Rows that are sent around together."""


class Turns:
    """Who predicts which of several batches.

    Parameters
    ----------
    sizes : list of int
        Rows of each batch.
    ranks : Ranks

    Attributes
    ----------
    own : list of int
        Numbers of the batches that this rank predicts. Where there are fewer than ranks, those without one predict the
        last: nobody waits for them, and all know the shape of what is sent.
    """

    def __init__(self, sizes: list[int], ranks: Ranks) -> None:
        self.sizes, self.ranks = sizes, ranks
        together = ranks.size * max(1, ROWS_AT_ONCE // (ranks.size * max(sizes, default=1)))
        starts = range(0, len(sizes), together)
        self.rounds = [range(start, min(start + together, len(sizes))) for start in starts]
        self.own = [number for batches in self.rounds for number in self._own_of(batches)]

    def _own_of(self, batches: range) -> list[int]:
        return list(batches[self.ranks.rank :: self.ranks.size]) or [batches[-1]]

    def in_order(self, outputs: Iterator[Tensor]) -> Iterator[Tensor]:
        """Outputs (b, ...) of all batches, of which ``outputs`` has those of this rank."""
        if self.ranks.alone:
            yield from outputs
            return
        for batches in self.rounds:
            mine = torch.cat([next(outputs) for _ in self._own_of(batches)])
            yield from self._exchanged(batches, mine)

    def _exchanged(self, batches: range, mine: Tensor) -> Iterator[Tensor]:
        size = self.ranks.size
        of_rank = [[self.sizes[number] for number in batches[r::size]] for r in range(size)]
        rows = [sum(sizes) for sizes in of_rank]
        parts = self.ranks.all_rows(mine[: rows[self.ranks.rank]], rows).split(rows)
        by_rank = [part.split(sizes) for part, sizes in zip(parts, of_rank, strict=True)]
        for i in range(len(batches)):
            yield by_rank[i % size][i // size]
