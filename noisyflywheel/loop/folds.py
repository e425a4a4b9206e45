"""Which rows each member of a net leaves out, and how rows are predicted by members that have not seen them."""

from __future__ import annotations

import torch
from torch import Tensor


class Folds:
    """Folds of the rows, drawn anew for each family of members.

    Parameters
    ----------
    fold : Tensor of shape (families, N), int64
        Fold of each row, 0 .. n_folds - 1; -1 where it takes no part.
    n_folds : int
        Each family has one member per fold.

    Attributes
    ----------
    trains : Tensor of shape (M, N), float32
        Weight of each row in the training of each member: 0 in its own fold; of mean 1 over the rows that take part.
    own : Tensor of shape (M, s), int64
        Rows of each member's own fold, the shorter ones filled up with repetitions.
    counts : Tensor of shape (M, s), float64
        1 for a row, 0 for a repetition.
    """

    def __init__(self, fold: Tensor, n_folds: int) -> None:
        self.fold, self.n_families, self.n_folds = fold, len(fold), n_folds
        numbers = torch.arange(n_folds, device=fold.device)[:, None]
        left_out = (fold[:, None] == numbers).flatten(0, 1)  # (M, N)
        takes_part = (fold >= 0).repeat_interleave(n_folds, 0)
        self.trains = (takes_part & ~left_out).float() * (n_folds / (n_folds - 1))
        parts = [own.nonzero().squeeze(1) for own in left_out]
        position = torch.arange(max(len(part) for part in parts), device=fold.device)
        filled = [part if len(part) else part.new_zeros(1) for part in parts]  # of `thinned` folds some may be empty
        self.own = torch.stack([part[position % len(part)] for part in filled])
        self.counts = torch.stack([(position < len(part)).double() for part in parts])

    @classmethod
    def draw(cls, given: Tensor, rows: Tensor, n_folds: int, n_families: int, generator: torch.Generator) -> Folds:
        """Folds of the ``rows`` (n,) that take part, balanced over the given labels (N,)."""
        fold = torch.full((n_families, len(given)), -1, device=given.device)
        for family in fold:
            family[rows] = draw_folds(given[rows].cpu(), n_folds, generator).to(given.device)
        return cls(fold, n_folds)

    def thinned(self, rows: Tensor) -> Folds:
        """These folds of some ``rows`` (n,) only."""
        fold = torch.full_like(self.fold, -1)
        fold[:, rows] = self.fold[:, rows]
        return Folds(fold, self.n_folds)

    def mean_by_row(self, prob: Tensor, n_rows: int) -> Tensor:
        """One prediction of each row for each family, (families, N, K), from those of own folds (M, s, K)."""
        n_classes = prob.shape[2]
        total = torch.zeros(self.n_families, n_rows, n_classes, dtype=prob.dtype, device=prob.device)
        for family in range(self.n_families):
            members = slice(family * self.n_folds, (family + 1) * self.n_folds)
            weighted = prob[members] * self.counts[members, :, None].to(prob.dtype)
            total[family].index_add_(0, self.own[members].flatten(), weighted.flatten(0, 1))
        return total


def draw_folds(given: Tensor, n_folds: int, generator: torch.Generator) -> Tensor:
    """Fold of each row, 0 .. n_folds - 1, as many of each class in each as can be: (n,), int64."""
    shuffled = torch.randperm(len(given), generator=generator)
    order = shuffled[given[shuffled].argsort(stable=True)]
    start = int(torch.randint(n_folds, (), generator=generator))
    fold = torch.empty(len(given), dtype=torch.int64)
    fold[order] = (torch.arange(len(given)) + start) % n_folds
    return fold
