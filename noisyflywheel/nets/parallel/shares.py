"""Which rank has which rows of a batch: `Whole` where each has all of them, `Split` where each has read its share."""

from __future__ import annotations

import torch
from torch import Tensor

from noisyflywheel.nets.parallel.ranks import Ranks
from noisyflywheel.views.mixup import mixup


class Whole:
    """Each rank has all rows of a batch, and sends its share of them through the net."""

    def times(self, copies: int) -> Whole:
        """A batch of several views of each row, see `in_copies`."""
        return self

    def in_copies(self, index: Tensor, copies: int) -> Tensor:
        """Row indices (B,) of a batch of several views of each row, in the order in which the ranks have them."""
        return index.repeat(copies)

    def mixed(self, x: Tensor, target: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """MixUp of the views that this rank has, and of the targets (B, K) of the whole batch."""
        return mixup(x, target, alpha, generator)

    def own(self, x: Tensor, ranks: Ranks) -> tuple[Tensor, list[int]]:
        """This rank's share, at least one row, of the views that it has, and the rows of every rank's share."""
        return ranks.take(x), ranks.sizes(len(x))


class Split:
    """Each rank has read its share of a batch, at least one row, and has no others; methods as of `Whole`.

    Parameters
    ----------
    sizes : list of int
        Rows of each rank's share.
    rank : int
        Number of this one.
    """

    def __init__(self, sizes: list[int], rank: int) -> None:
        self.sizes, self.rank = sizes, rank

    def times(self, copies: int) -> Split:
        """Shares of several views of each row."""
        return Split([copies * size for size in self.sizes], self.rank)

    def in_copies(self, index: Tensor, copies: int) -> Tensor:
        """Those of one rank after those of another."""
        return torch.cat([part.repeat(copies) for part in index.split(self.sizes)])

    def mixed(self, x: Tensor, target: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """MixUp inside each rank's share."""
        targets = list(target.split(self.sizes))
        for rank, size in enumerate(self.sizes):  # all draw for all, so that generators stay the same
            own = rank == self.rank and size > 0
            mixed, targets[rank] = mixup(x if own else targets[rank], targets[rank], alpha, generator)
            x = mixed if own else x
        return x, torch.cat(targets)

    def own(self, x: Tensor, ranks: Ranks) -> tuple[Tensor, list[int]]:
        """What this rank has, and the rows that every rank has."""
        return x, self.sizes


Shares = Whole | Split
WHOLE = Whole()
