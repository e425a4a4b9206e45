"""Which rows each member of a net leaves out, and how rows are predicted by members that have not seen them."""

from __future__ import annotations

import torch
from torch import Tensor


class Folds:
    """Folds of the rows, drawn anew for each family of the members and balanced over the given labels.

    Parameters
    ----------
    given : Tensor of shape (N,), int64
        Given labels.
    rows : Tensor of shape (n,), int64
        Rows that take part; every member leaves out all others.
    n_folds, n_families : int
        Each family has one member per fold.
    generator : torch.Generator
        On the CPU.

    Attributes
    ----------
    trains : Tensor of shape (M, N), float32
        Where a member trains on a row; of mean 1 over the rows that take part.
    own : Tensor of shape (M, s), int64
        Rows of each member's own fold, the shorter ones filled up with repetitions.
    counts : Tensor of shape (M, s), float64
        1 for a row, 0 for a repetition.
    """

    def __init__(self, given: Tensor, rows: Tensor, n_folds: int, n_families: int, generator: torch.Generator) -> None:
        drawn = [draw_folds(given[rows].cpu(), n_folds, generator) for _ in range(n_families)]
        parts = [rows[(of_row == fold).to(rows.device)] for of_row in drawn for fold in range(n_folds)]
        self.n_families, self.n_folds = n_families, n_folds
        self.trains = torch.zeros(len(parts), len(given), device=given.device)
        self.trains[:, rows] = n_folds / (n_folds - 1)
        for member, part in enumerate(parts):
            self.trains[member, part] = 0
        longest = max(len(part) for part in parts)
        position = torch.arange(longest, device=given.device)
        self.own = torch.stack([part[position % len(part)] for part in parts])
        self.counts = torch.stack([(position < len(part)).double() for part in parts])

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
